package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"switchboard/controlplane/internal/httpapi/openapi"
	"switchboard/shared/fault"
	"switchboard/shared/wire"
)

// maxElements bounds the values of a body, which take more room decoded than
// written; the largest sensible request has some hundreds.
const maxElements = 20_000

// binder reads a body as JSON whatever its Content-Type: browsers send the
// string bodies of existing clients as text/plain.
type binder struct{ limits Limits }

// Bind implements echo.Binder. An empty body gives an error that is both io.EOF,
// by which the generated code knows it where a body is optional, and a
// DecodingError.
func (b binder) Bind(into any, c echo.Context) error {
	text, err := io.ReadAll(c.Request().Body)
	var f *fault.Fault
	switch {
	case errors.As(err, &f):
		return f
	case err != nil:
		return undecodable("the body did not arrive within %v", b.limits.ReadBody)
	case strings.TrimSpace(string(text)) == "":
		return fmt.Errorf("%w (%w)", undecodable("the body is empty"), io.EOF)
	}
	if bytes.Count(text, []byte{','}) > maxElements {
		return fault.PayloadTooLarge.New("The body has over %d elements.", maxElements)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return describeJSON(err)
	}
	return nil
}

// undecodable is a DecodingError; clients know the beginning of its sentence.
func undecodable(format string, args ...any) *fault.Fault {
	return fault.DecodingError.New("JSON body validation error: %s", fmt.Sprintf(format, args...))
}

// describeJSON says where a document went wrong, in the API's terms.
func describeJSON(err error) error {
	var wrongType *json.UnmarshalTypeError
	switch {
	case !errors.As(err, &wrongType):
		return undecodable("the body is not JSON: %s", err)
	case wrongType.Field == "":
		return undecodable("the body is a JSON %s, want an object", wrongType.Value)
	}
	return undecodable("%s is a JSON %s, want %s", wrongType.Field, wrongType.Value, jsonType(wrongType))
}

func jsonType(err *json.UnmarshalTypeError) string {
	switch kind := err.Type.Kind().String(); kind {
	case "bool":
		return "a boolean"
	case "string":
		return "a string"
	case "slice":
		return "an array"
	case "struct":
		return "an object"
	default:
		return "a number"
	}
}

// description checks and converts a client's session description, nil for nil.
func description(d *openapi.SessionDescription, want wire.SDPType) (*wire.SessionDescription, error) {
	switch {
	case d == nil:
		return nil, nil
	case d.SDP == "":
		return nil, undecodable("sessionDescription.sdp is missing")
	case d.Type == "":
		return nil, undecodable("sessionDescription.type is missing")
	case !d.Type.Valid():
		return nil, undecodable("sessionDescription.type must be offer or answer")
	case len(d.SDP) > wire.MaxSDP:
		return nil, fault.PayloadTooLarge.New("The SDP has %d bytes, at most %d are allowed.", len(d.SDP), wire.MaxSDP)
	case wire.SDPType(d.Type) != want:
		return nil, fault.InvalidSessionDescription.New("sessionDescription.type is %q, but this call takes an %s.", d.Type, want)
	}
	return &wire.SessionDescription{Type: want, SDP: d.SDP}, nil
}

// indices collects what is wrong with the entries of a list, by the first
// complaint that occurs: "tracks 0,1: trackName is missing".
type indices struct {
	complaint string
	at        []string
}

func (x *indices) add(i int, complaint string) {
	if x.complaint == "" {
		x.complaint = complaint
	}
	if x.complaint == complaint {
		x.at = append(x.at, strconv.Itoa(i))
	}
}

// err returns nil when nothing was added.
func (x *indices) err() error {
	if x.complaint == "" {
		return nil
	}
	return undecodable("tracks %s: %s", strings.Join(x.at, ","), x.complaint)
}

// tolerateQuery makes the declared query parameters fit the generated binder,
// which refuses a repeated or a bare one: the first value counts, and a bare
// "thirdparty" means true. Others are never looked at.
func tolerateQuery(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		query := c.QueryParams()
		for _, name := range []string{"thirdparty", "correlationId"} {
			if values := query[name]; len(values) > 1 {
				query[name] = values[:1]
			}
		}
		if query.Has("thirdparty") && query.Get("thirdparty") == "" {
			query.Set("thirdparty", "true")
		}
		return next(c)
	}
}
