package config

import (
	"bytes"
	"fmt"
	"reflect"
	"regexp"
	"runtime/debug"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/goccy/go-yaml"
)

const redacted = "[redacted]"

// userInfo matches the name and password within a URL.
var userInfo = regexp.MustCompile(`://[^/@\s]+@`)

// Version says which build this is: the module's version and, where known, the
// commit, with "-dirty" when it was built from a changed work tree.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version, commit, dirty := info.Main.Version, "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value[:min(len(s.Value), 12)]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	if commit == "" {
		return version + " " + info.GoVersion
	}
	return version + " " + commit + dirty + " " + info.GoVersion
}

func (p program) writeHelp(settings []*setting) error {
	fmt.Fprintf(p.out, "%s: %s\n\nUsage: %s [flags]\n\n", p.name, p.description, p.name)
	table := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "  --config FILE\tYAML file with any of the settings below.\n")
	fmt.Fprintf(table, "  --print-config\tPrint every setting and where it was set, then exit.\n")
	fmt.Fprintf(table, "  --version\tPrint the version, then exit.\n")
	for _, s := range settings {
		fmt.Fprintf(table, "  --%s %s\t%s%s\n", s.flag(), placeholder(s.value), s.help, s.defaultText())
	}
	fmt.Fprintf(table, "\n")
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(p.out, "Each flag is also a key of the file (--nats-url is nats: {url: …}) and an\n"+
		"environment variable (%sNATS_URL). Flags win over the environment, that\nover the file.\n", Prefix)
	return err
}

// placeholder names the kind of text that a flag takes.
func placeholder(v reflect.Value) string {
	switch {
	case v.Type() == durationType:
		return "DURATION"
	case v.Kind() == reflect.Bool:
		return ""
	case v.CanInt():
		return "N"
	case v.Kind() == reflect.String:
		return "TEXT"
	case isStringList(v.Type()):
		return "LIST"
	}
	return "YAML"
}

func (s *setting) defaultText() string {
	if s.value.IsZero() || s.secret {
		return ""
	}
	if s.value.Kind() == reflect.Slice {
		if !isStringList(s.value.Type()) || s.value.Len() == 0 {
			return ""
		}
		var items []string
		for i := range s.value.Len() {
			items = append(items, s.value.Index(i).String())
		}
		return " (default " + strings.Join(items, ",") + ")"
	}
	return fmt.Sprintf(" (default %v)", s.value.Interface())
}

// writeConfig prints the settings as a file that could be loaded again, but
// for its secrets, each with its source.
func (p program) writeConfig(settings []*setting) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Effective configuration of %s; the source of each value is beside it.\n", p.name)
	var above []string
	for _, s := range settings {
		last := len(s.keys) - 1
		for depth, key := range s.keys[:last] {
			if depth >= len(above) || above[depth] != key {
				fmt.Fprintf(&b, "%s%s:\n", strings.Repeat("  ", depth), key)
				above = append(above[:depth:depth], key)
			}
		}
		above = above[:min(len(above), last)]
		text, err := yaml.MarshalWithOptions(plain(s.value, s.secret), yaml.Flow(true))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s%s: %s  # %s\n", strings.Repeat("  ", last), s.keys[last], bytes.TrimSpace(text), s.source)
	}
	_, err := p.out.Write(b.Bytes())
	return err
}

// plain copies v into maps, slices and scalars, without its secrets.
func plain(v reflect.Value, secret bool) any {
	switch {
	case v.Type() == durationType:
		return time.Duration(v.Int()).String()
	case v.Kind() == reflect.String && secret && v.Len() > 0:
		return redacted
	case v.Kind() == reflect.String:
		return userInfo.ReplaceAllString(v.String(), "://"+redacted+"@")
	case v.Kind() == reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plain(v.Index(i), secret)
		}
		return list
	case v.Kind() == reflect.Struct:
		var fields yaml.MapSlice
		for i := range v.NumField() {
			tag := v.Type().Field(i).Tag
			if key, _, _ := strings.Cut(tag.Get("yaml"), ","); key != "" && key != "-" {
				fields = append(fields, yaml.MapItem{Key: key, Value: plain(v.Field(i), secret || tag.Get("secret") == "true")})
			}
		}
		return fields
	case secret && !v.IsZero():
		return redacted
	}
	return v.Interface()
}
