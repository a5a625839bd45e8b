// Package arch tests the shape of the source tree: which package may import
// which, what pure packages may call, and how long files and functions may be.
//
// The rules are data in rules_test.go; the checks only read syntax, so they
// hold for every operating system and build tag. Each failure is a sentence
// that says how to repair it. The checks themselves are tested against a small
// tree with one mistake of each kind, in testdata.
package arch
