package picker

import (
	"encoding/binary"
	"math/bits"
)

// sip is SipHash-2-4 (Aumasson and Bernstein, 2012) under a key: its state before the first byte.
type sip [4]uint64

func newSip(key Secret) sip {
	k0, k1 := binary.LittleEndian.Uint64(key[:8]), binary.LittleEndian.Uint64(key[8:])
	return sip{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573}
}

// sum returns the hash of s.
func (v sip) sum(s string) uint64 {
	last := uint64(len(s)) << 56
	for ; len(s) >= 8; s = s[8:] {
		v = v.absorb(word(s[:8]))
	}
	v = v.absorb(last | word(s))
	v[2] ^= 0xff
	v = v.round().round().round().round()
	return v[0] ^ v[1] ^ v[2] ^ v[3]
}

func (v sip) absorb(m uint64) sip {
	v[3] ^= m
	v = v.round().round()
	v[0] ^= m
	return v
}

func (v sip) round() sip {
	a, b, c, d := v[0], v[1], v[2], v[3]
	a, c = a+b, c+d
	b, d = bits.RotateLeft64(b, 13)^a, bits.RotateLeft64(d, 16)^c
	a = bits.RotateLeft64(a, 32) + d
	c += b
	d, b = bits.RotateLeft64(d, 21)^a, bits.RotateLeft64(b, 17)^c
	return sip{a, b, bits.RotateLeft64(c, 32), d}
}

// word reads up to eight bytes, the first as the lowest.
func word(s string) (w uint64) {
	for i := range len(s) {
		w |= uint64(s[i]) << (8 * i)
	}
	return w
}
