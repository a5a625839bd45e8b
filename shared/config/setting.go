package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/goccy/go-yaml"
)

// setting is one field of the struct that is filled.
type setting struct {
	keys   []string // the yaml keys from the root to the field
	value  reflect.Value
	help   string
	secret bool   // all of it
	source string // where the present value comes from
}

var (
	durationType    = reflect.TypeFor[time.Duration]()
	unmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// settingsOf lists the settings of the struct that into points to, in the
// order of its fields.
func settingsOf(into any) []*setting {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("config: %T is not a pointer to a struct", into))
	}
	return walk(v.Elem(), nil)
}

func walk(v reflect.Value, keys []string) []*setting {
	var list []*setting
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		key, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		inline := strings.Contains(options, "inline")
		switch {
		case key == "-":
			continue
		case key == "" && !inline:
			panic(fmt.Sprintf("config: field %s.%s has no yaml key", v.Type(), field.Name))
		case inline:
			list = append(list, walk(v.Field(i), keys)...)
			continue
		}
		path := append(append([]string(nil), keys...), key)
		if field.Type.Kind() == reflect.Struct && !reflect.PointerTo(field.Type).Implements(unmarshalerType) {
			list = append(list, walk(v.Field(i), path)...)
			continue
		}
		list = append(list, &setting{
			keys: path, value: v.Field(i), source: "default",
			help: field.Tag.Get("help"), secret: field.Tag.Get("secret") == "true",
		})
	}
	return list
}

// key is the setting's name in the file, dotted.
func (s *setting) key() string { return strings.Join(s.keys, ".") }

// flag is the setting's name on the command line, without dashes before it.
func (s *setting) flag() string { return words(s.keys, "-") }

// env is the setting's name in the environment.
func (s *setting) env() string { return Prefix + strings.ToUpper(words(s.keys, "_")) }

// words splits camelCase keys and joins all words in lower case.
func words(keys []string, separator string) string {
	var b strings.Builder
	for _, key := range keys {
		if b.Len() > 0 {
			b.WriteString(separator)
		}
		for i, r := range key {
			if i > 0 && unicode.IsUpper(r) {
				b.WriteString(separator)
			}
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

// set reads text as a value of the setting's type.
func (s *setting) set(text, source string) error {
	want := s.assign(text)
	if want == "" {
		s.source = source
		return nil
	}
	shown := strconv.Quote(text)
	if s.secret || holdsSecrets(s.value.Type()) {
		shown = redacted
	}
	return fmt.Errorf("%s (from %s): %s is not %s", s.key(), source, shown, want)
}

// assign returns "" on success, else what kind of text it wanted.
func (s *setting) assign(text string) (want string) {
	v := s.value
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(text)); err != nil {
			return "valid: " + err.Error()
		}
		return ""
	}
	switch {
	case v.Type() == durationType:
		d, err := time.ParseDuration(text)
		if err != nil {
			return "a duration such as 10s or 1m30s"
		}
		v.SetInt(int64(d))
	case v.Kind() == reflect.String:
		v.SetString(text)
	case v.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return "true or false"
		}
		v.SetBool(b)
	case v.CanInt():
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil {
			return "a whole number in range"
		}
		v.SetInt(n)
	case isStringList(v.Type()):
		v.Set(stringList(v.Type(), text))
	default:
		if err := yaml.UnmarshalWithOptions([]byte(text), v.Addr().Interface(), yaml.Strict()); err != nil {
			return "valid YAML: " + yamlMessage(err)
		}
	}
	return ""
}

// yamlMessage is the mistake alone, without the text around it, which may hold
// secrets.
func yamlMessage(err error) string {
	var mistake yaml.Error
	if errors.As(err, &mistake) {
		return mistake.GetMessage()
	}
	return "it cannot be read"
}

// holdsSecrets reports whether a value of type t has secret parts.
func holdsSecrets(t reflect.Type) bool {
	if t.Kind() == reflect.Slice {
		return holdsSecrets(t.Elem())
	}
	if t.Kind() != reflect.Struct {
		return false
	}
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("secret") == "true" || holdsSecrets(t.Field(i).Type) {
			return true
		}
	}
	return false
}

func isStringList(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String
}

// stringList splits text at commas; blanks around items and empty items go.
func stringList(t reflect.Type, text string) reflect.Value {
	list := reflect.MakeSlice(t, 0, 4)
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = reflect.Append(list, reflect.ValueOf(item).Convert(t.Elem()))
		}
	}
	return list
}
