package topology

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of a file, far above what is useful: they keep a hostile or mistaken one
// from using up memory.
const (
	maxFileBytes = 1 << 20
	maxDepth     = 24 // of steps within steps, counted in YAML nodes
)

// Load reads a description from a file.
func Load(path string) (*App, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// Parse reads a description, fills in what it leaves out and validates it. The
// name of its file is for messages. The error is Problems.
func Parse(name string, data []byte) (*App, error) {
	var ps Problems
	if len(data) > maxFileBytes {
		ps.add(0, "larger than %s: describe fewer services, or use replicas", Bytes(maxFileBytes))
		return nil, ps.err(name)
	}
	root, app := decode(data, &ps)
	if len(ps) == 0 {
		complete(root, reflect.ValueOf(app).Elem(), &ps)
		completeKinds(app)
	}
	if len(ps) == 0 {
		app.validate(&ps)
	}
	if err := ps.err(name); err != nil {
		return nil, err
	}
	return app, nil
}

// Marshal returns the description as a file that Parse reads.
func (a *App) Marshal() ([]byte, error) {
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(a); err != nil {
		return nil, fmt.Errorf("topology %q: %w", a.Name, err)
	}
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("topology %q: %w", a.Name, err)
	}
	return out.Bytes(), nil
}

// decode reads the one document of data, as it stands.
func decode(data []byte, ps *Problems) (*yaml.Node, *App) {
	var document yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	switch err := dec.Decode(&document); {
	case errors.Is(err, io.EOF):
		ps.add(0, "empty: describe an application, see docs/TOPOLOGY.md")
		return nil, nil
	case err != nil:
		ps.addYAML(err.Error())
		return nil, nil
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		ps.add(0, "more than one document: write one application per file")
		return nil, nil
	}

	root := document.Content[0]
	app := new(App)
	// The decoder also guards against aliases that contain themselves, so that
	// the walk below ends.
	if err := root.Decode(app); err != nil {
		wrong := new(yaml.TypeError)
		if !errors.As(err, &wrong) {
			ps.addYAML(err.Error())
			return nil, nil
		}
		for _, text := range wrong.Errors {
			ps.addYAML(text)
		}
	}
	checkFields(root, reflect.TypeFor[App](), 0, ps)
	return root, app
}

// checkFields reports what yaml would pass over in silence: keys that are no
// field, and entries without content.
func checkFields(node *yaml.Node, t reflect.Type, depth int, ps *Problems) {
	node = resolve(node)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if depth > maxDepth {
		ps.add(node.Line, "steps within steps within steps: flatten them")
		return
	}
	switch {
	case t.Kind() == reflect.Slice && node.Kind == yaml.SequenceNode:
		for _, entry := range node.Content {
			if resolve(entry).Tag == "!!null" {
				ps.add(entry.Line, "an entry without content: fill it in or remove it")
				continue
			}
			checkFields(entry, t.Elem(), depth+1, ps)
		}
	case t.Kind() == reflect.Map && node.Kind == yaml.MappingNode:
		for i := 1; i < len(node.Content); i += 2 {
			checkFields(node.Content[i], t.Elem(), depth+1, ps)
		}
	case t.Kind() == reflect.Struct && node.Kind == yaml.MappingNode && t != reflect.TypeFor[Target]():
		known := fieldsByKey(t)
		for i := 0; i < len(node.Content); i += 2 {
			key := node.Content[i]
			field, ok := known[key.Value]
			if !ok {
				names := slices.Sorted(maps.Keys(known))
				ps.add(key.Line, "unknown field %q: there are %s", key.Value, strings.Join(names, ", "))
				continue
			}
			checkFields(node.Content[i+1], t.Field(field).Type, depth+1, ps)
		}
	}
}

// complete notes the line of every part that has a field for it and fills in
// defaults of fields that the file leaves out.
func complete(node *yaml.Node, v reflect.Value, ps *Problems) {
	node = resolve(node)
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			complete(node, v.Elem(), ps)
		}
	case reflect.Slice:
		for i := range v.Len() {
			complete(node.Content[i], v.Index(i), ps)
		}
	case reflect.Map:
		for i := 0; i < len(node.Content); i += 2 {
			if entry := v.MapIndex(reflect.ValueOf(node.Content[i].Value)); entry.IsValid() {
				complete(node.Content[i+1], entry, ps)
			}
		}
	case reflect.Struct:
		if line := v.FieldByName("Line"); line.IsValid() {
			line.SetInt(int64(node.Line))
		}
		given := make(map[int]bool)
		for i := 0; node.Kind == yaml.MappingNode && i < len(node.Content); i += 2 {
			field := fieldsByKey(v.Type())[node.Content[i].Value]
			given[field] = true
			complete(node.Content[i+1], v.Field(field), ps)
		}
		completeFields(node, v, given, ps)
	}
}

// completeFields sets the fields of a struct that have a default and were not
// given. Zero cannot be asked for where it is not the default: whoever writes
// "chance: 0" does not expect 1.
func completeFields(node *yaml.Node, v reflect.Value, given map[int]bool, ps *Problems) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		fallback, ok := field.Tag.Lookup("default")
		if !ok || !v.Field(i).IsZero() {
			continue
		}
		if given[i] {
			ps.add(node.Line, "%s is 0: leave it out for the default, %s, or give a number above 0", yamlKey(field), fallback)
			continue
		}
		if err := yaml.Unmarshal([]byte(fallback), v.Field(i).Addr().Interface()); err != nil {
			panic(err) // the tag is a constant of this package
		}
	}
}

// completeKinds fills in the defaults that depend on other fields.
func completeKinds(app *App) {
	for _, s := range app.Services {
		info := kinds[s.Kind]
		if s.Protocol == "" && len(info.protocols) == 1 {
			s.Protocol = info.protocols[0]
		}
		if s.Workers == 0 {
			s.Workers = info.workers.fallback
		}
		for _, steps := range s.Endpoints {
			eachStep(steps, func(step *Step) {
				if step.Call != nil && step.Timeout == 0 {
					step.Timeout = DefaultTimeout
				}
			})
		}
	}
}

// eachStep calls do for every step, those within steps included.
func eachStep(steps []Step, do func(*Step)) {
	for i := range steps {
		step := &steps[i]
		do(step)
		eachStep(step.Parallel, do)
		if step.Cache != nil {
			eachStep(step.Cache.Miss, do)
		}
		if step.Lock != nil {
			eachStep(step.Lock.Steps, do)
		}
	}
}

func resolve(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

func yamlKey(field reflect.StructField) string {
	key, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
	return key
}

// fieldsByKey maps the keys of a struct to the numbers of its fields.
func fieldsByKey(t reflect.Type) map[string]int {
	keys := make(map[string]int)
	for i := range t.NumField() {
		if key := yamlKey(t.Field(i)); key != "" && key != "-" {
			keys[key] = i
		}
	}
	return keys
}

var (
	yamlLine  = regexp.MustCompile(`^(?:yaml: )?line (\d+): (?s:(.*))$`)
	yamlWrong = regexp.MustCompile("^cannot unmarshal !!(\\w+)(?: `(?s:(.*))`)? into (\\S+)$")
)

// addYAML notes an error of the yaml package in our words.
func (ps *Problems) addYAML(text string) {
	line := 0
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = m[2]
	}
	if m := yamlWrong.FindStringSubmatch(text); m != nil {
		found := map[string]string{"map": "a mapping", "seq": "a list"}[m[1]]
		if found == "" {
			found = strconv.Quote(m[2])
		}
		text = fmt.Sprintf("%s where %s is expected", found, goTypeInWords(m[3]))
	}
	ps.add(line, "%s", strings.TrimPrefix(text, "yaml: "))
}

// goTypeInWords says what a user writes for a Go type.
func goTypeInWords(name string) string {
	switch {
	case name == "int":
		return "a whole number"
	case name == "float64":
		return "a number"
	case name == "bool":
		return "true or false"
	case name == "time.Duration":
		return "a time like 20ms"
	case strings.HasPrefix(name, "[]"), name == "topology.Endpoint":
		return "a list"
	case name == "string", name == "topology.Kind", name == "topology.Protocol":
		return "text"
	default:
		return "a mapping"
	}
}
