package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"reflect"

	"github.com/goccy/go-yaml"
)

// commandLine is what the flags say, before it is applied.
type commandLine struct {
	file                 string
	help, version, print bool
	texts                map[*setting]string
}

func readCommandLine(settings []*setting, args []string) (commandLine, error) {
	line := commandLine{texts: make(map[*setting]string)}
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	flags.StringVar(&line.file, "config", "", "")
	flags.BoolVar(&line.version, "version", false, "")
	flags.BoolVar(&line.print, "print-config", false, "")
	for _, s := range settings {
		flags.Var(&flagText{setting: s, line: &line}, s.flag(), "")
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		line.help = true
	case err != nil:
		return line, err
	case flags.NArg() > 0:
		return line, fmt.Errorf("%q is not a flag", flags.Arg(0))
	}
	return line, nil
}

// flagText keeps the text of one flag.
type flagText struct {
	setting *setting
	line    *commandLine
}

// String implements flag.Value.
func (f *flagText) String() string { return "" }

// IsBoolFlag lets --flag stand for --flag=true.
func (f *flagText) IsBoolFlag() bool { return f.setting.value.Kind() == reflect.Bool }

// Set implements flag.Value: a repeated list flag adds, any other replaces.
func (f *flagText) Set(text string) error {
	if before, again := f.line.texts[f.setting]; again && isStringList(f.setting.value.Type()) {
		text = before + "," + text
	}
	f.line.texts[f.setting] = text
	return nil
}

// readFile takes over the settings that the YAML file holds. A key without a
// value, such as one whose children are all commented out, sets nothing.
func readFile(path string, into any, settings []*setting) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("configuration file: %w", err)
	}
	var tree map[string]any
	if err := yaml.Unmarshal(data, &tree); err != nil {
		return fileError(path, err)
	}
	if len(tree) == 0 {
		return nil
	}
	decoded := reflect.New(reflect.TypeOf(into).Elem())
	if err := yaml.UnmarshalWithOptions(data, decoded.Interface(), yaml.Strict()); err != nil {
		return fileError(path, err)
	}
	for i, from := range settingsOf(decoded.Interface()) {
		if holds(tree, from.keys) {
			settings[i].value.Set(from.value)
			settings[i].source = "file " + path
		}
	}
	return nil
}

// fileError says what is wrong and where, without the lines around it: they may
// hold secrets.
func fileError(path string, err error) error {
	return fmt.Errorf("configuration file %s: %s", path, yaml.FormatError(err, false, false))
}

func holds(tree map[string]any, keys []string) bool {
	value := tree[keys[0]]
	if len(keys) == 1 {
		return value != nil
	}
	below, ok := value.(map[string]any)
	return ok && holds(below, keys[1:])
}
