package main

import (
	"bufio"
	"bytes"
	"io"
)

// events reads server-sent events as the WHATWG standard has it: lines end with CR LF, LF or CR, and with nothing else.
func events(body io.Reader, heard func(), take func(data string) error) error {
	reader := bufio.NewReader(body)
	var line []byte
	var data [][]byte
	first, afterCR := true, false
	for {
		one, err := reader.ReadByte()
		if err != nil {
			return err // what is not closed by a blank line is no event
		}
		heard()
		if afterCR && one == '\n' {
			afterCR = false
			continue
		}
		afterCR = one == '\r'
		if one != '\r' && one != '\n' {
			line = append(line, one)
			continue
		}
		if first {
			line, first = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf")), false
		}
		if len(line) > 0 {
			if name, value, _ := bytes.Cut(line, []byte(":")); string(name) == "data" {
				data = append(data, bytes.TrimPrefix(append([]byte{}, value...), []byte(" ")))
			}
			line = line[:0]
			continue
		}
		if data != nil {
			text := string(bytes.Join(data, []byte("\n")))
			data = nil
			if err := take(text); err != nil {
				return err
			}
		}
	}
}
