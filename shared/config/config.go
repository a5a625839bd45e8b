// Package config fills a struct with what an operator set: in a YAML file, in
// the environment, or on the command line.
//
// One struct field is one setting with one name, written in three ways. The
// field reached by the yaml keys nats → maxPending is
//
//	nats: {maxPending: 8}                 in the file
//	SWITCHBOARD_NATS_MAX_PENDING=8        in the environment
//	--nats-max-pending=8                  on the command line
//
// A later way of this list wins over an earlier one, and all win over the
// value that the struct holds before. Unknown keys and flags are errors; an
// unknown environment variable is not, because platforms inject their own.
//
// Struct tags: yaml names the key (required on every field; "-" leaves it
// out; ",inline" takes a nested struct's keys as its own), help is one sentence
// for --help, secret:"true" keeps the value out of every output.
//
// Texts in the environment and on the command line: lists of strings are
// separated by commas (a repeated flag adds), durations look like 10s, and any
// other compound value is YAML in flow style, such as [{id: demo}].
package config

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// ErrDone means that the command line asked for text only (--help, --version
// or --print-config) and that it was written to standard output: the process
// ends with success.
var ErrDone = errors.New("the requested text was printed")

// Prefix begins the name of every environment variable.
const Prefix = "SWITCHBOARD_"

// Validator is implemented by configurations that check themselves. The error
// names the key and what it may hold.
type Validator interface{ Validate() error }

// Parse fills into, a pointer to a struct that holds the default values, from
// args (the command line without the program's name), the environment and the
// file named by --config or SWITCHBOARD_CONFIG. If into is a Validator it is
// checked last. Name and description head the output of --help.
//
// An error says which setting is wrong and where it was set. Parse panics when
// into is not made as the package documentation says, which is a mistake of
// the programmer and not of the operator.
func Parse(name, description string, into any, args []string) error {
	p := program{name: name, description: description, getenv: os.LookupEnv, out: os.Stdout}
	return p.parse(into, args)
}

// program is one run of Parse, with the outside world replaceable by tests.
type program struct {
	name, description string
	getenv            func(string) (string, bool)
	out               io.Writer
}

func (p program) parse(into any, args []string) error {
	settings := settingsOf(into)
	line, err := readCommandLine(settings, args)
	if err != nil {
		return fmt.Errorf("%w (%s --help lists the flags)", err, p.name)
	}
	switch {
	case line.help:
		return p.printed(p.writeHelp(settings))
	case line.version:
		_, err := fmt.Fprintln(p.out, p.name, Version())
		return p.printed(err)
	}
	file := line.file
	if file == "" {
		file, _ = p.getenv(Prefix + "CONFIG")
	}
	if file != "" {
		if err := readFile(file, into, settings); err != nil {
			return err
		}
	}
	if err := applyTexts(settings, p.getenv, line); err != nil {
		return err
	}
	if v, ok := into.(Validator); ok {
		if err := v.Validate(); err != nil {
			return fmt.Errorf("configuration: %w (%s --print-config shows where each value comes from)", err, p.name)
		}
	}
	if line.print {
		return p.printed(p.writeConfig(settings))
	}
	return nil
}

// applyTexts sets what the environment and then the command line say.
func applyTexts(settings []*setting, getenv func(string) (string, bool), line commandLine) error {
	for _, s := range settings {
		if text, ok := getenv(s.env()); ok {
			if err := s.set(text, "environment "+s.env()); err != nil {
				return err
			}
		}
		if text, ok := line.texts[s]; ok {
			if err := s.set(text, "flag --"+s.flag()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p program) printed(err error) error {
	if err != nil {
		return fmt.Errorf("write to standard output: %w", err)
	}
	return ErrDone
}
