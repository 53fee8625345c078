//go:build linux

package containerd

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
)

// File is one file of an image; parents come first. Mode says what it is.
type File struct {
	Path string // without a leading slash
	Mode fs.FileMode
	Link string // target of a symbolic link
	From string // a regular file's content
}

// Directories makes empty ones, for mounts.
func Directories(paths ...string) []File {
	var files []File
	for _, p := range paths {
		files = append(files, File{Path: p, Mode: fs.ModeDir | 0o755})
	}
	return files
}

// Import builds an image of one layer and gives it to the daemon. path is where
// the OCI layout is written, as a tar file, which is removed again.
func (d *Daemon) Import(ctx context.Context, name, path string, files []File) error {
	if err := writeImage(path, name, files); err != nil {
		return fmt.Errorf("image %s: %w", name, err)
	}
	defer os.Remove(path)
	if out, err := d.ctr(ctx, "images", "import", path).CombinedOutput(); err != nil {
		return fmt.Errorf("image %s: ctr images import: %w: %s", name, err, lastLine(out))
	}
	return nil
}

// descriptor names a blob (OCI image specification, descriptor.md).
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

const mediaType = "application/vnd.oci.image."

// writeImage writes an OCI image layout as a tar file.
func writeImage(path, name string, files []File) error {
	var layer bytes.Buffer
	if err := writeLayer(&layer, files); err != nil {
		return err
	}
	blobs := map[string][]byte{}
	add := func(kind string, blob []byte) descriptor {
		digest := fmt.Sprintf("%x", sha256.Sum256(blob))
		blobs[digest] = blob
		return descriptor{MediaType: mediaType + kind, Digest: "sha256:" + digest, Size: int64(len(blob))}
	}
	l := add("layer.v1.tar", layer.Bytes())
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": map[string]any{},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{l.Digest}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": mediaType + "manifest.v1+json",
		"config": add("config.v1+json", config), "layers": []descriptor{l},
	})
	if err != nil {
		return err
	}
	m := add("manifest.v1+json", manifest)
	m.Annotations = map[string]string{"io.containerd.image.name": name}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": mediaType + "index.v1+json", "manifests": []descriptor{m}})
	if err != nil {
		return err
	}

	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	t := tar.NewWriter(f)
	put := func(name string, text []byte) {
		if err == nil {
			err = t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))})
		}
		if err == nil {
			_, err = t.Write(text)
		}
	}
	put("oci-layout", []byte(`{"imageLayoutVersion": "1.0.0"}`))
	put("index.json", index)
	for digest, blob := range blobs {
		put("blobs/sha256/"+digest, blob)
	}
	if err == nil {
		err = t.Close()
	}
	if err != nil {
		return err
	}
	return f.Close()
}

func writeLayer(w io.Writer, files []File) error {
	t := tar.NewWriter(w)
	for _, file := range files {
		h := &tar.Header{Name: file.Path, Mode: int64(file.Mode.Perm())}
		var content []byte
		switch {
		case file.Mode.IsDir():
			h.Typeflag = tar.TypeDir
		case file.Link != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, file.Link
		default:
			var err error
			if content, err = os.ReadFile(file.From); err != nil {
				return err
			}
			h.Typeflag, h.Size = tar.TypeReg, int64(len(content))
		}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(content); err != nil {
			return err
		}
	}
	return t.Close()
}
