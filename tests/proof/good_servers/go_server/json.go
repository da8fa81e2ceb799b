package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// The library's decoder repairs halves of characters and takes the last of repeated names without a word, so the
// server reads JSON itself. A half of a character is kept in three bytes, which are not valid UTF-8.

var errNoJSON = errors.New("no JSON text")

// errTooDeep is returned for a text whose nesting is beyond all measure, before it costs a stack of that depth.
var errTooDeep = errors.New("nested too deep")

// deepest is how deep a text may nest to be read at all; what is allowed is less.
const deepest = 10000

var number = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`)

// jsonText is what a JSON text holds, and what a message of a client may not have.
type jsonText struct {
	value           any
	depth           int
	repeats, halves bool
}

type jsonReader struct {
	text  string
	place int
	found jsonText
}

// readJSON reads a text as RFC 8259 has it.
func readJSON(text string) (found jsonText, err error) {
	reader := &jsonReader{text: text}
	reader.found.value, err = reader.element(0)
	if err == nil && reader.place < len(text) {
		err = errNoJSON
	}
	return reader.found, err
}

func (r *jsonReader) space() {
	for r.place < len(r.text) && strings.IndexByte(" \t\r\n", r.text[r.place]) >= 0 {
		r.place++
	}
}

// takes steps over a text that stands here.
func (r *jsonReader) takes(text string) bool {
	if !strings.HasPrefix(r.text[r.place:], text) {
		return false
	}
	r.place += len(text)
	return true
}

// element reads a value with the white space around it.
func (r *jsonReader) element(depth int) (any, error) {
	r.space()
	defer r.space()
	if depth > deepest {
		return nil, errTooDeep
	}
	if r.place == len(r.text) {
		return nil, errNoJSON
	}
	switch r.text[r.place] {
	case '{':
		return r.object(depth + 1)
	case '[':
		return r.array(depth + 1)
	case '"':
		return r.string()
	}
	for word, value := range map[string]any{"true": true, "false": false, "null": nil} {
		if r.takes(word) {
			return value, nil
		}
	}
	digits := number.FindString(r.text[r.place:])
	if digits == "" {
		return nil, errNoJSON
	}
	r.place += len(digits)
	return json.Number(digits), nil
}

func (r *jsonReader) deeper(depth int) {
	if depth > r.found.depth {
		r.found.depth = depth
	}
}

func (r *jsonReader) object(depth int) (any, error) {
	r.deeper(depth)
	r.place++
	members := map[string]any{}
	r.space()
	if r.takes("}") {
		return members, nil
	}
	for {
		r.space()
		if r.place == len(r.text) || r.text[r.place] != '"' {
			return nil, errNoJSON
		}
		name, err := r.string()
		if err != nil {
			return nil, err
		}
		r.space()
		if !r.takes(":") {
			return nil, errNoJSON
		}
		value, err := r.element(depth)
		if err != nil {
			return nil, err
		}
		if _, known := members[name]; known {
			r.found.repeats = true
		}
		members[name] = value
		if r.takes("}") {
			return members, nil
		}
		if !r.takes(",") {
			return nil, errNoJSON
		}
	}
}

func (r *jsonReader) array(depth int) (any, error) {
	r.deeper(depth)
	r.place++
	values := []any{}
	r.space()
	if r.takes("]") {
		return values, nil
	}
	for {
		value, err := r.element(depth)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
		if r.takes("]") {
			return values, nil
		}
		if !r.takes(",") {
			return nil, errNoJSON
		}
	}
}

func (r *jsonReader) string() (string, error) {
	var text strings.Builder
	for r.place++; r.place < len(r.text); {
		character := r.text[r.place]
		r.place++
		switch {
		case character == '"':
			joined := joinHalves(text.String())
			r.found.halves = r.found.halves || !utf8.ValidString(joined)
			return joined, nil
		case character < ' ':
			return "", errNoJSON
		case character != '\\':
			text.WriteByte(character)
		default:
			if err := r.escape(&text); err != nil {
				return "", err
			}
		}
	}
	return "", errNoJSON
}

func (r *jsonReader) escape(text *strings.Builder) error {
	if r.place == len(r.text) {
		return errNoJSON
	}
	character := r.text[r.place]
	r.place++
	if place := strings.IndexByte(`"\/bfnrt`, character); place >= 0 {
		text.WriteByte("\"\\/\b\f\n\r\t"[place])
		return nil
	}
	if character != 'u' || r.place+4 > len(r.text) {
		return errNoJSON
	}
	unit, err := strconv.ParseUint(r.text[r.place:r.place+4], 16, 16)
	if err != nil {
		return errNoJSON
	}
	r.place += 4
	if utf16.IsSurrogate(rune(unit)) {
		text.Write([]byte{0xed, 0x80 | byte(unit>>6&0x3f), 0x80 | byte(unit&0x3f)})
	} else {
		text.WriteRune(rune(unit))
	}
	return nil
}

// half returns the UTF-16 unit at the beginning of a text, if half a character stands there.
func half(text string) (unit rune, is bool) {
	if len(text) < 3 || text[0] != 0xed || text[1] < 0xa0 {
		return 0, false
	}
	return 0xd000 | rune(text[1]&0x3f)<<6 | rune(text[2]&0x3f), true
}

// joinHalves puts the halves of characters together that stand side by side.
func joinHalves(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	var joined strings.Builder
	for place := 0; place < len(text); {
		first, isFirst := half(text[place:])
		if isFirst && place+3 < len(text) {
			second, isSecond := half(text[place+3:])
			if whole := utf16.DecodeRune(first, second); isSecond && whole != utf8.RuneError {
				joined.WriteRune(whole)
				place += 6
				continue
			}
		}
		joined.WriteByte(text[place])
		place++
	}
	return joined.String()
}

// encode returns a value as JSON text on one line.
func encode(value any) string {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err) // only values that were read from JSON, or are made here, are encoded
	}
	return strings.TrimSuffix(text.String(), "\n")
}

// whole numbers are written without fraction and exponent.
var wholeNumber = regexp.MustCompile(`^-?[0-9]+$`)

// clean returns a value that can be sent: no half of a character, no number beyond all bounds, no integer that a
// double may not hold [MSG-35].
func clean(value any) any {
	switch value := value.(type) {
	case string:
		return strings.ToValidUTF8(value, "\ufffd")
	case json.Number:
		if number, _ := value.Float64(); math.IsInf(number, 0) {
			return nil
		}
		whole, err := strconv.ParseInt(string(value), 10, 64)
		if wholeNumber.MatchString(string(value)) && (err != nil || whole >= 1<<53 || whole <= -1<<53) {
			return string(value)
		}
	case map[string]any:
		cleaned := map[string]any{}
		for name, inner := range value {
			cleaned[strings.ToValidUTF8(name, "\ufffd")] = clean(inner)
		}
		return cleaned
	case []any:
		cleaned := make([]any, len(value))
		for place, inner := range value {
			cleaned[place] = clean(inner)
		}
		return cleaned
	}
	return value
}

// depthOf returns how deep arrays and objects nest.
func depthOf(value any) int {
	deepest := 0
	look := func(inner any) {
		if depth := depthOf(inner); depth > deepest {
			deepest = depth
		}
	}
	switch value := value.(type) {
	case map[string]any:
		for _, inner := range value {
			look(inner)
		}
	case []any:
		for _, inner := range value {
			look(inner)
		}
	default:
		return 0
	}
	return deepest + 1
}

// same says whether two values are equal as JSON.
func same(one, other any) bool {
	switch one := one.(type) {
	case json.Number:
		second, is := other.(json.Number)
		first, _ := one.Float64()
		float, _ := second.Float64()
		return is && (one == second || first == float)
	case map[string]any:
		second, is := other.(map[string]any)
		for name, value := range one {
			if inner, has := second[name]; !has || !same(value, inner) {
				return false
			}
		}
		return is && len(one) == len(second)
	case []any:
		second, is := other.([]any)
		if !is || len(one) != len(second) {
			return false
		}
		for place, value := range one {
			if !same(value, second[place]) {
				return false
			}
		}
		return true
	}
	return one == other
}
