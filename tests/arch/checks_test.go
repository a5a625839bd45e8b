package arch

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"strings"
)

// checks are all checks of the tree; each returns its failures.
var checks = map[string]func(tree) []string{
	"arrows":     checkArrows,
	"libraries":  checkLibraries,
	"pure":       checkPure,
	"logging":    checkLogging,
	"sleep":      checkSleep,
	"budgets":    checkBudgets,
	"docs":       checkDocs,
	"unfinished": checkUnfinished,
}

func checkArrows(t tree) (failures []string) {
	for _, f := range t.files {
		i := slices.IndexFunc(arrows, func(a arrow) bool { return within(f.dir, a.from...) })
		for name, at := range t.imports(f) {
			target, ok := strings.CutPrefix(name, module+"/")
			switch {
			case !ok || within(target, f.dir):
			case i < 0:
				failures = append(failures, fmt.Sprintf("%s: folder %s has no arrow: add it to arrows in tests/arch/rules_test.go", at, f.dir))
			case f.test && target == "shared/testkit":
			case !within(target, arrows[i].to...):
				failures = append(failures, fmt.Sprintf(
					"%s: %s must not import %s (%s): declare an interface where it is used, or move the code down to shared",
					at, f.dir, target, arrows[i].why))
			}
		}
	}
	return failures
}

func checkLibraries(t tree) (failures []string) {
	for _, f := range t.files {
		if f.test {
			continue
		}
		for name, at := range t.imports(f) {
			for _, l := range libraries {
				if within(name, l.prefix) && !within(f.dir, l.only...) {
					failures = append(failures, fmt.Sprintf("%s: %s must not import %s (%s): move the code to one of %s",
						at, f.dir, name, l.why, strings.Join(l.only, ", ")))
				}
			}
		}
	}
	return failures
}

func checkPure(t tree) (failures []string) {
	for _, f := range t.files {
		if f.test || !within(f.dir, pure...) {
			continue
		}
		for name, at := range t.imports(f) {
			if slices.Contains(notInPure, name) {
				failures = append(failures, fmt.Sprintf("%s: %s is pure and must not import %s: take what you need as an argument", at, f.dir, name))
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				failures = append(failures, fmt.Sprintf("%s: %s is pure and must not start a goroutine: let its caller own it", t.set.Position(n.Pos()), f.dir))
			case *ast.SelectorExpr:
				if pkg, ok := n.X.(*ast.Ident); ok && slices.Contains(notUsedInPure[pkg.Name], n.Sel.Name) {
					failures = append(failures, fmt.Sprintf("%s: %s is pure and must not use %s.%s: take the time as an argument, let the owner lock",
						t.set.Position(n.Pos()), f.dir, pkg.Name, n.Sel.Name))
				}
			}
			return true
		})
	}
	return failures
}

func checkLogging(t tree) (failures []string) {
	silent := slices.Concat(pure, perPacket)
	for _, f := range t.files {
		if f.test || !within(f.dir, silent...) {
			continue
		}
		for name, at := range t.imports(f) {
			if within(name, "go.uber.org/zap", "log") {
				failures = append(failures, fmt.Sprintf("%s: %s must not log: count it, and let report tell", at, f.dir))
			}
		}
	}
	return failures
}

func checkSleep(t tree) (failures []string) {
	for _, f := range t.files {
		_, virtual := t.imports(f)["testing/synctest"] // where sleeping costs no time
		if within(f.dir, "tests") || f.test && virtual {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if pkg, ok := s.X.(*ast.Ident); ok && pkg.Name == "time" && s.Sel.Name == "Sleep" {
					failures = append(failures, fmt.Sprintf(
						"%s: time.Sleep cannot be interrupted: wait for an event, or for a timer and a context (in tests: testing/synctest)", t.set.Position(s.Pos())))
				}
			}
			return true
		})
	}
	return failures
}

func checkBudgets(t tree) (failures []string) {
	for _, f := range t.files {
		if f.generated {
			continue
		}
		if f.lines > maxFileLines {
			failures = append(failures, fmt.Sprintf("%s: %d lines, at most %d: split the file by what its parts are for", f.path, f.lines, maxFileLines))
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if lines := t.span(n); lines > maxFunctionLines {
					failures = append(failures, fmt.Sprintf("%s: %s has %d lines, at most %d: give its steps names of their own",
						t.set.Position(n.Pos()), n.Name.Name, lines, maxFunctionLines))
				}
			case *ast.TypeSpec:
				if s, ok := n.Type.(*ast.StructType); ok && s.Fields.NumFields() > maxStructFields {
					failures = append(failures, fmt.Sprintf("%s: %s has %d fields, at most %d: group those that belong together",
						t.set.Position(n.Pos()), n.Name.Name, s.Fields.NumFields(), maxStructFields))
				}
			}
			return true
		})
	}
	return failures
}

func (t tree) span(n ast.Node) int {
	return t.set.Position(n.End()).Line - t.set.Position(n.Pos()).Line + 1
}

func checkDocs(t tree) (failures []string) {
	documented := make(map[string]bool)
	for _, f := range t.files {
		if f.test {
			continue
		}
		documented[f.dir] = documented[f.dir] || f.ast.Doc != nil
		if !f.generated {
			failures = append(failures, t.undocumented(f)...)
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(documented)) {
		if !documented[dir] {
			failures = append(failures, dir+": no file has a package comment: say what the package guarantees")
		}
	}
	return failures
}

func (t tree) undocumented(f file) (failures []string) {
	lacks := func(pos token.Pos, name string) {
		failures = append(failures, fmt.Sprintf("%s: %s is exported without a comment: say what it means, its units and its errors", t.set.Position(pos), name))
	}
	for _, decl := range f.ast.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
				lacks(d.Pos(), d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					if s.Name.IsExported() && s.Doc == nil && d.Doc == nil {
						lacks(s.Pos(), s.Name.Name)
					}
				case *ast.ValueSpec:
					if s.Names[0].IsExported() && s.Doc == nil && d.Doc == nil && s.Comment == nil {
						lacks(s.Pos(), s.Names[0].Name)
					}
				}
			}
		}
	}
	return failures
}

// exportedReceiver reports whether d is a function, or a method of an exported type.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	receiver := d.Recv.List[0].Type
	for {
		switch r := receiver.(type) {
		case *ast.StarExpr:
			receiver = r.X
		case *ast.IndexExpr:
			receiver = r.X
		case *ast.IndexListExpr:
			receiver = r.X
		case *ast.Ident:
			return r.IsExported()
		default:
			return false
		}
	}
}

func checkUnfinished(t tree) (failures []string) {
	for _, f := range t.files {
		for _, group := range f.ast.Comments {
			for _, c := range group.List {
				for _, word := range unfinished {
					if strings.Contains(c.Text, word) {
						failures = append(failures, fmt.Sprintf("%s: comment says %s: finish it or take it out", t.set.Position(c.Pos()), word))
					}
				}
			}
		}
	}
	return failures
}
