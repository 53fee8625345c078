//go:build linux && amd64

package vm

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// keyring is where Debian's debian-archive-keyring package puts the keys of
// every supported suite, also of those this host does not use.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// metaPackage depends on the current cloud kernel of its suite.
const metaPackage = "linux-image-cloud-amd64"

// download fetches the packages of the newest kernel that k accepts into dir
// and returns their paths. It reads the host's apt configuration only to learn
// which mirror to use; lists and packages live in folders of its own.
func download(k Kernel, aptDir, dir string) ([]string, error) {
	var causes []error
	for _, suite := range k.Suites {
		debs, err := downloadFrom(suite, k.Prefix, filepath.Join(aptDir, suite), dir)
		if err == nil {
			return debs, nil
		}
		causes = append(causes, fmt.Errorf("suite %s: %w", suite, err))
	}
	return nil, fmt.Errorf("%w: %w", ErrUnreachable, errors.Join(causes...))
}

func downloadFrom(suite, prefix, aptDir, dir string) ([]string, error) {
	mirror, err := mirrorOf(strings.HasSuffix(suite, "-security"))
	if err != nil {
		return nil, err
	}
	for _, d := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(aptDir, d), 0o755); err != nil {
			return nil, err
		}
	}
	sources := filepath.Join(aptDir, "sources.list")
	line := fmt.Sprintf("deb [arch=amd64 signed-by=%s] %s %s main\n", keyring, mirror, suite)
	if err := os.WriteFile(sources, []byte(line), 0o644); err != nil {
		return nil, err
	}
	apt := aptOptions{
		"-q",
		"-o", "Dir::Etc::sourcelist=" + sources,
		"-o", "Dir::Etc::sourceparts=/dev/null",
		"-o", "Dir::State::lists=" + filepath.Join(aptDir, "lists"),
		"-o", "Dir::Cache=" + filepath.Join(aptDir, "cache"),
		// Only package indexes: no translations, no desktop metadata.
		"-o", "Acquire::Languages=none",
		"-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
		// The cache is the caller's folder, which the _apt user may not enter.
		"-o", "APT::Sandbox::User=root",
		// No hooks of the host: they report to desktop daemons.
		"-o", "APT::Update::Post-Invoke-Success::=/bin/true",
		"-o", "Acquire::Retries=2",
	}
	if _, err := apt.run("apt-get", "", "update", "--error-on=any"); err != nil {
		return nil, err
	}
	packages, err := apt.kernelPackages(prefix)
	if err != nil {
		return nil, err
	}
	if _, err := apt.run("apt-get", dir, append([]string{"download"}, packages...)...); err != nil {
		return nil, err
	}
	debs, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err == nil && len(debs) != len(packages) {
		err = fmt.Errorf("asked for %d packages %q, found %d files in %s: remove it and try again",
			len(packages), packages, len(debs), dir)
	}
	return debs, err
}

// aptOptions are the arguments that keep apt inside folders of its own.
type aptOptions []string

func (o aptOptions) run(name, dir string, args ...string) (string, error) {
	cmd := exec.Command(name, append(o[:len(o):len(o)], args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// kernelPart matches the packages a kernel is split into; from Linux 7 on the
// image package is empty and depends on the other two.
var kernelPart = regexp.MustCompile(`\b(linux-(?:image|binary|modules)-(\d\S*))`)

// kernelPackages follows the meta package's dependencies to the packages that
// hold vmlinuz and modules, each as name=version.
func (o aptOptions) kernelPackages(prefix string) ([]string, error) {
	var packages []string
	seen := map[string]bool{}
	for queue := []string{metaPackage}; len(queue) > 0; queue = queue[1:] {
		text, err := o.run("apt-cache", "", "show", "--no-all-versions", queue[0])
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(text) {
			depends, ok := strings.CutPrefix(line, "Depends: ")
			if !ok {
				continue
			}
			for _, m := range kernelPart.FindAllStringSubmatch(depends, -1) {
				name, version := m[1], m[2]
				if seen[name] {
					continue
				}
				seen[name] = true
				if !strings.HasPrefix(version, prefix) {
					return nil, fmt.Errorf("%s is %s, want %s*", metaPackage, version, prefix)
				}
				packages = append(packages, name)
				queue = append(queue, name)
			}
		}
	}
	if len(packages) == 0 {
		return nil, fmt.Errorf("%s depends on no kernel", metaPackage)
	}
	return packages, nil
}

// mirrorOf returns the address this host's own apt configuration uses for
// Debian's main or security archive.
func mirrorOf(security bool) (string, error) {
	out, err := aptOptions(nil).run("apt-get", "", "indextargets",
		"--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(out) {
		uri, release, _ := strings.Cut(strings.TrimSpace(line), " ")
		base := strings.TrimSuffix(uri, "/")
		switch {
		case security && strings.HasSuffix(release, "-security"):
			return base, nil
		case !security && strings.HasSuffix(base, "/debian") && !strings.HasSuffix(release, "-security"):
			return base, nil
		}
	}
	return "", fmt.Errorf("apt has no Debian source (security: %v): add one to /etc/apt/sources.list.d", security)
}
