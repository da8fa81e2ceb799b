package main

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// socket is a WebSocket connection of a client (RFC 6455), without extensions.
type socket struct {
	conn   net.Conn
	reader *bufio.Reader
}

// closed says that the server closed with a code, or that the connection broke off (1006).
type closed struct{ code int }

func (c closed) Error() string { return fmt.Sprintf("closed with %d", c.code) }

func dial(where string, token string, within time.Duration) (*socket, error) {
	place, err := url.Parse(where)
	if err != nil {
		return nil, err
	}
	conn, err := net.DialTimeout("tcp", place.Host, within)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(within))
	key := make([]byte, 16)
	rand.Read(key)
	offered := "runwire.v1"
	if token != "" {
		offered += ", bearer." + base64.RawURLEncoding.EncodeToString([]byte(token))
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: %s\r\n\r\n",
		place.RequestURI(), place.Host, base64.StdEncoding.EncodeToString(key), offered)
	reader := bufio.NewReader(conn)
	answer, err := http.ReadResponse(reader, nil)
	if err != nil || answer.StatusCode != 101 {
		conn.Close()
		return nil, errors.New("no WebSocket")
	}
	conn.SetDeadline(time.Time{})
	return &socket{conn, reader}, nil
}

func (s *socket) write(opcode byte, payload []byte) error {
	head := []byte{0x80 | opcode}
	switch size := len(payload); {
	case size < 126:
		head = append(head, 0x80|byte(size))
	case size < 1<<16:
		head = binary.BigEndian.AppendUint16(append(head, 0x80|126), uint16(size))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 0x80|127), uint64(size))
	}
	mask := make([]byte, 4)
	rand.Read(mask)
	masked := make([]byte, len(payload))
	for place, one := range payload {
		masked[place] = one ^ mask[place%4]
	}
	_, err := s.conn.Write(append(append(head, mask...), masked...))
	return err
}

// read returns the next text message; it answers Pings, and raises closed when the connection is over.
func (s *socket) read(within time.Duration) (string, error) {
	var text strings.Builder
	for {
		s.conn.SetReadDeadline(time.Now().Add(within))
		head := make([]byte, 2)
		if _, err := io.ReadFull(s.reader, head); err != nil {
			return "", closed{1006}
		}
		size := uint64(head[1] & 127)
		if size == 126 || size == 127 {
			longer := make([]byte, 2+6*(size-126))
			if _, err := io.ReadFull(s.reader, longer); err != nil {
				return "", closed{1006}
			}
			size = 0
			for _, one := range longer {
				size = size<<8 | uint64(one)
			}
		}
		if size > 1<<24 {
			return "", closed{1009}
		}
		payload := make([]byte, size)
		if _, err := io.ReadFull(s.reader, payload); err != nil {
			return "", closed{1006}
		}
		switch head[0] & 15 {
		case 8:
			s.write(8, payload)
			code := 1005
			if len(payload) > 1 {
				code = int(binary.BigEndian.Uint16(payload))
			}
			return "", closed{code}
		case 9:
			s.write(10, payload)
		case 0, 1:
			text.Write(payload)
			if head[0]&0x80 != 0 {
				return text.String(), nil
			}
		}
	}
}

func (s *socket) close() {
	s.write(8, []byte{3, 232})
	s.conn.Close()
}
