package redisconn

const (
	enough  = 5 // failures in a row that shut a gate
	another = 1 // that shut one more: some of Redis is known to be away, and a probe mends it soon
)

// gate stops commands to a Redis that does not answer. It is a value; the zero one is open.
type gate struct {
	failures int  // in a row
	shut     bool // only probes pass
}

// judge says how a command ended; so many failures in a row are enough. While the gate is shut only probes
// count: the others were sent before.
func (g gate) judge(probe, ok bool, enough int) gate {
	switch {
	case g.shut && !probe:
		return g
	case ok:
		return gate{}
	}
	g.failures++
	g.shut = g.shut || g.failures >= enough
	return g
}

// lane is a gate for a part of the keys. In a cluster a lane is a range of slots, so that a member that
// is lost costs those whose keys it has, and nobody else.
type lane struct {
	gate
	key     string // one of those that failed, for the probe to ask for
	probing bool   // a probe has not ended
}

const clusterLanes = 64

// slot is the hash slot of a key without braces, by the specification of Redis Cluster: CRC16 (XMODEM)
// modulo 16,384.
func slot(key string) int {
	crc := uint16(0)
	for i := range len(key) {
		crc ^= uint16(key[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc % 16384)
}

// lane returns the number of a key's lane.
func (c *Conn) lane(key string) int {
	if len(c.lanes) == 1 {
		return 0
	}
	return slot(key) * len(c.lanes) / 16384
}
