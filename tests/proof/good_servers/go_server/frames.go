package main

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"
	"unicode/utf8"
)

// The framing of RFC 6455, as far as a server without extensions needs it.

const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

// bufferBytes is what the system may hold unsent; little, so that Pings and the notice of a slow reader are timely.
const bufferBytes = 32768

// pieceBytes is how much of a frame is written at once, each piece with the time of pong_timeout_s.
const pieceBytes = 4096

// closing says with which code the server has to close the connection.
type closing int

func (c closing) Error() string { return "the connection has to be closed" }

// errLeft: the client has sent its Close frame, or is gone.
var errLeft = errors.New("the client has left")

// acceptKey answers the key of a handshake.
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// frameReader reads messages; what comes between their fragments goes to onControl, and onPart hears of the parts of a frame.
type frameReader struct {
	in        *bufio.Reader
	onControl func(opcode byte, payload []byte)
	onPart    func()
	onExcess  func()
	frames    bucket
}

// framesAtOnce is how many frames a client may send at once, framesPerSecond how many in a second more [LIMIT-14], and
// framesTooMany how many beyond that end the connection [LIMIT-15].
const (
	framesAtOnce    = 2000
	framesPerSecond = 200
	framesTooMany   = 1000
)

// bucket counts what a client may still send; the zero value is full.
type bucket struct {
	spent  float64
	at     time.Time
	isTold bool
}

// take counts one frame; it says whether there were too many for the first time, and whether by far too many.
func (b *bucket) take() (isExcess, isFlood bool) {
	now := time.Now()
	if b.spent -= now.Sub(b.at).Seconds() * framesPerSecond; b.spent < 0 {
		b.spent = 0
	}
	b.spent, b.at = b.spent+1, now
	isExcess = b.spent > framesAtOnce && !b.isTold
	b.isTold = b.isTold || isExcess
	return isExcess, b.spent > framesAtOnce+framesTooMany
}

// message returns the next whole message.
func (r *frameReader) message() (isText bool, message []byte, err error) {
	kind := byte(0)
	for {
		opcode, isLast, payload, err := r.frame(kind, len(message))
		if err != nil {
			return false, nil, err
		}
		switch opcode {
		case opPing, opPong:
			r.onControl(opcode, payload)
			continue
		case opClose:
			if err := checkClose(payload); err != nil {
				return false, nil, err
			}
			r.onControl(opcode, payload)
			return false, nil, errLeft
		case opText, opBinary:
			kind = opcode
		}
		message = append(message, payload...)
		if isLast && kind == opText && !utf8.Valid(message) {
			return false, nil, closing(1007)
		}
		if isLast {
			return kind == opText, message, nil
		}
	}
}

// frame reads one frame. `kind` is the opcode of the message that goes on, and `sofar` its size.
func (r *frameReader) frame(kind byte, sofar int) (opcode byte, isLast bool, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		return 0, false, nil, errLeft
	}
	isExcess, isFlood := r.frames.take()
	if isExcess {
		r.onExcess()
	}
	if isFlood {
		return 0, false, nil, closing(4429)
	}
	isLast, opcode = head[0]&0x80 != 0, head[0]&0x0f
	size := uint64(head[1] & 0x7f)
	isControl := opcode >= opClose
	isKnown := opcode <= opBinary || (isControl && opcode <= opPong)
	isInOrder := isControl || (opcode == opContinuation) == (kind != 0)
	if head[0]&0x70 != 0 || head[1]&0x80 == 0 || !isKnown || !isInOrder || (isControl && (!isLast || size > 125)) {
		return 0, false, nil, closing(1002)
	}
	if size >= 126 {
		long := make([]byte, map[uint64]int{126: 2, 127: 8}[size])
		if _, err := io.ReadFull(r.in, long); err != nil {
			return 0, false, nil, errLeft
		}
		size = 0
		for _, digit := range long {
			size = size<<8 | uint64(digit)
		}
		if size>>63 != 0 {
			return 0, false, nil, closing(1002)
		}
	}
	if !isControl && size > uint64(int(limits["max_message_bytes"])-sofar) {
		return 0, false, nil, closing(1009)
	}
	masked := make([]byte, 4+size)
	for read := 0; read < len(masked); {
		count, err := r.in.Read(masked[read:])
		if err != nil {
			return 0, false, nil, errLeft
		}
		if read += count; read < len(masked) {
			r.onPart()
		}
	}
	mask, payload := masked[:4], masked[4:]
	for place := range payload {
		payload[place] ^= mask[place%4]
	}
	return opcode, isLast, payload, nil
}

func checkClose(payload []byte) error {
	if len(payload) == 0 {
		return nil
	}
	if len(payload) == 1 {
		return closing(1002)
	}
	code := binary.BigEndian.Uint16(payload)
	isKnown := (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) || (code >= 3000 && code < 5000)
	if !isKnown {
		return closing(1002)
	}
	if !utf8.Valid(payload[2:]) {
		return closing(1007)
	}
	return nil
}

// frameOf returns a whole frame.
func frameOf(opcode byte, payload []byte) []byte {
	head := []byte{0x80 | opcode}
	switch size := len(payload); {
	case size < 126:
		head = append(head, byte(size))
	case size < 1<<16:
		head = append(head, 126, byte(size>>8), byte(size))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 127), uint64(size))
	}
	return append(head, payload...)
}

func closeFrame(code int) []byte {
	return frameOf(opClose, []byte{byte(code >> 8), byte(code)})
}

// keepLittle bounds what the system holds unsent for a connection.
func keepLittle(conn net.Conn) {
	if tcp, is := conn.(*net.TCPConn); is {
		_ = tcp.SetWriteBuffer(bufferBytes) // a wish: without it the server notices slow readers later
	}
}
