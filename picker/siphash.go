package picker

import (
	"encoding/binary"
	"math/bits"
)

// sip is SipHash-2-4 (Aumasson and Bernstein, 2012) under a key: its state before the first byte.
type sip struct{ a, b, c, d uint64 }

func newSip(key Secret) sip {
	k0, k1 := binary.LittleEndian.Uint64(key[:8]), binary.LittleEndian.Uint64(key[8:])
	return sip{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573}
}

// sum returns the hash of s.
func (v sip) sum(s string) uint64 {
	last := uint64(len(s)) << 56
	for ; len(s) >= 8; s = s[8:] {
		m := word(s)
		v.d ^= m
		v = v.round()
		v = v.round()
		v.a ^= m
	}
	for i := range len(s) {
		last |= uint64(s[i]) << (8 * i)
	}
	v.d ^= last
	v = v.round()
	v = v.round()
	v.a ^= last
	v.c ^= 0xff
	for range 4 {
		v = v.round()
	}
	return v.a ^ v.b ^ v.c ^ v.d
}

func (v sip) round() sip {
	v.a, v.c = v.a+v.b, v.c+v.d
	v.b, v.d = bits.RotateLeft64(v.b, 13)^v.a, bits.RotateLeft64(v.d, 16)^v.c
	v.a = bits.RotateLeft64(v.a, 32) + v.d
	v.c += v.b
	v.d, v.b = bits.RotateLeft64(v.d, 21)^v.a, bits.RotateLeft64(v.b, 17)^v.c
	v.c = bits.RotateLeft64(v.c, 32)
	return v
}

// word reads eight bytes, the first as the lowest.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}
