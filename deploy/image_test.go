//go:build linux

package deploy

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const containerFile = "Containerfile"

// image is what a builder makes of the Containerfile: one COPY is one layer.
type image struct {
	From       string
	Labels     map[string]string
	Env        []string
	Copies     [][2]string // from the build context, to the image
	Volumes    []string
	StopSignal string
	Entrypoint []string
	Cmd        []string
}

// parseImage reads the instructions that our Containerfile uses and refuses
// every other, so that the tests never run something else than a builder makes.
func parseImage(text string) (image, error) {
	img := image{Labels: map[string]string{}}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		instruction, rest, _ := strings.Cut(line, " ")
		var err error
		switch instruction {
		case "FROM":
			img.From = rest
		case "LABEL":
			key, value, ok := strings.Cut(rest, "=")
			if !ok {
				return img, fmt.Errorf("LABEL %q: want key=value", rest)
			}
			img.Labels[key] = strings.Trim(value, `"`)
		case "COPY":
			from, to, ok := strings.Cut(rest, " ")
			if !ok || strings.HasPrefix(rest, "-") {
				return img, fmt.Errorf("COPY %q: want source and target only", rest)
			}
			img.Copies = append(img.Copies, [2]string{from, to})
		case "ENV":
			img.Env = append(img.Env, rest)
		case "VOLUME":
			err = json.Unmarshal([]byte(rest), &img.Volumes)
		case "EXPOSE":
		case "STOPSIGNAL":
			img.StopSignal = rest
		case "ENTRYPOINT":
			err = json.Unmarshal([]byte(rest), &img.Entrypoint)
		case "CMD":
			err = json.Unmarshal([]byte(rest), &img.Cmd)
		default:
			return img, fmt.Errorf("instruction %q is not known to this test", instruction)
		}
		if err != nil {
			return img, fmt.Errorf("%s: %w", line, err)
		}
	}
	return img, nil
}

func readImage(t *testing.T) image {
	t.Helper()
	text, err := os.ReadFile(containerFile)
	if err != nil {
		t.Fatal(err)
	}
	img, err := parseImage(string(text))
	if err != nil {
		t.Fatalf("%s: %v", containerFile, err)
	}
	return img
}

// rootfs builds the image's file system: the copied files, and the volumes and
// mount points that a runtime creates.
func (img image) rootfs(t *testing.T, context map[string]string) string {
	t.Helper()
	if img.From != "scratch" {
		t.Fatalf("FROM %s: want scratch", img.From)
	}
	root := t.TempDir()
	for _, c := range img.Copies {
		source, ok := context[c[0]]
		if !ok {
			t.Fatalf("COPY %s: not in the build context", c[0])
		}
		data, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		target := filepath.Join(root, c[1])
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range slices.Concat(img.Volumes, []string{"/proc", "/sys", "/dev"}) {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// TestImageMatchesUnit holds the two ways to ship Seer together: the same
// command on the same two folders.
func TestImageMatchesUnit(t *testing.T) {
	img := readImage(t)
	if img.From != "scratch" || len(img.Copies) != 1 || img.Copies[0][1] != installedAt {
		t.Errorf("image = from %q with %q, want scratch with only %s", img.From, img.Copies, installedAt)
	}
	command := strings.Join(slices.Concat(img.Entrypoint, img.Cmd), " ")
	if diff := cmp.Diff(service(t)["ExecStart"], []string{command}); diff != "" {
		t.Errorf("command (-unit +image):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"/var/lib/seer", "/run/seer"}, img.Volumes); diff != "" {
		t.Errorf("volumes (-want +got):\n%s", diff)
	}
	if img.StopSignal != "SIGTERM" {
		t.Errorf("STOPSIGNAL = %q, want SIGTERM, which ends Seer cleanly", img.StopSignal)
	}
}

func TestParseImageRefuses(t *testing.T) {
	for _, text := range []string{"RUN make", "COPY --from=x a b", "CMD seer run", "LABEL nothing"} {
		if _, err := parseImage(text); err == nil {
			t.Errorf("parseImage(%q) = nil, want an error", text)
		}
	}
}
