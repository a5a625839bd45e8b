package arch

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "switchboard"

// tree is every Go file of a source tree, parsed.
type tree struct {
	set   *token.FileSet
	files []file
}

// file is one Go file.
type file struct {
	path      string // from the root of the tree, with slashes
	dir       string // its folder, "." for the root
	test      bool   // ends in _test.go
	generated bool
	lines     int
	ast       *ast.File
}

// load parses the Go files below root, but those in testdata, node_modules and
// hidden folders.
func load(t *testing.T, root string) tree {
	t.Helper()
	loaded := tree{set: token.NewFileSet()}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() {
			if name != root && (base == "testdata" || base == "node_modules" || base[0] == '.') {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") {
			return nil
		}
		source, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		relative = filepath.ToSlash(relative)
		parsed, err := parser.ParseFile(loaded.set, relative, source, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		loaded.files = append(loaded.files, file{
			path: relative, dir: path.Dir(relative), test: strings.HasSuffix(base, "_test.go"),
			generated: ast.IsGenerated(parsed), lines: bytes.Count(source, []byte("\n")), ast: parsed,
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// imports lists the paths that f imports, each with its position.
func (t tree) imports(f file) map[string]token.Position {
	found := make(map[string]token.Position)
	for _, spec := range f.ast.Imports {
		if name, err := strconv.Unquote(spec.Path.Value); err == nil {
			found[name] = t.set.Position(spec.Pos())
		}
	}
	return found
}

// within reports whether folder is one of folders or below it. A folder "a/*"
// stands for the files of a alone, without what is below.
func within(folder string, folders ...string) bool {
	for _, f := range folders {
		if alone, ok := strings.CutSuffix(f, "/*"); ok {
			if folder == alone {
				return true
			}
			continue
		}
		if folder == f || strings.HasPrefix(folder, f+"/") {
			return true
		}
	}
	return false
}
