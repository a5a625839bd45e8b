package netio

import "encoding/binary"

// class says which protocol a datagram belongs to, by its first byte
// (RFC 7983 section 7, RFC 9443 section 3).
type class uint8

const (
	classOther class = iota // ZRTP, TURN channels, QUIC and noise: not served here
	classSTUN
	classDTLS
	classMedia // SRTP and SRTCP
)

func classify(datagram []byte) class {
	if len(datagram) == 0 {
		return classOther
	}
	switch b := datagram[0]; {
	case b <= 3:
		return classSTUN
	case b >= 20 && b <= 63:
		return classDTLS
	case b >= 128 && b <= 191:
		return classMedia
	}
	return classOther
}

// Layout of a STUN message (RFC 8489 sections 5 and 14).
const (
	stunHeader       = 20
	stunCookie       = 0x2112A442
	stunBindRequest  = 0x0001
	stunBindSuccess  = 0x0101
	stunUsername     = 0x0006
	stunAttribute    = 4 // type and length before a value
	maxUfrag         = 256
	maxSTUNAttribute = 32 // attributes looked through for a USERNAME
)

// stunType returns a STUN message's type; ok is false when the datagram is not
// one whole, well-framed STUN message.
func stunType(datagram []byte) (typ uint16, ok bool) {
	if len(datagram) < stunHeader ||
		binary.BigEndian.Uint32(datagram[4:]) != stunCookie ||
		int(binary.BigEndian.Uint16(datagram[2:])) != len(datagram)-stunHeader ||
		len(datagram)%4 != 0 {
		return 0, false
	}
	return binary.BigEndian.Uint16(datagram), true
}

// requestUfrag returns the receiver's user fragment of a connectivity check:
// what stands before the colon in its USERNAME (RFC 8445 section 7.2.2). The
// message must have passed stunType. The result aliases it; nil means that
// there is none.
func requestUfrag(message []byte) []byte {
	attributes := message[stunHeader:]
	for range maxSTUNAttribute {
		if len(attributes) < stunAttribute {
			return nil
		}
		typ := binary.BigEndian.Uint16(attributes)
		length := int(binary.BigEndian.Uint16(attributes[2:]))
		value := attributes[stunAttribute:]
		if length > len(value) {
			return nil
		}
		if typ == stunUsername {
			return beforeColon(value[:length])
		}
		padded := (length + 3) &^ 3
		if padded > len(value) {
			return nil
		}
		attributes = value[padded:]
	}
	return nil
}

// beforeColon returns a non-empty prefix of at most maxUfrag bytes that ends
// before a colon, or nil.
func beforeColon(username []byte) []byte {
	for i, b := range username {
		if b == ':' {
			if i == 0 {
				return nil
			}
			return username[:i]
		}
		if i == maxUfrag {
			return nil
		}
	}
	return nil
}
