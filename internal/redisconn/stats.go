package redisconn

import "time"

// Stats is what a Conn has done so far.
type Stats struct {
	Commands uint64        // sent to Redis, or tried to, probes included
	Failures uint64        // of these, those without an answer in time
	Refused  uint64        // not sent, because Redis is unreachable or too many wait for it
	InFlight int           // now
	Most     int           // that ever were in flight
	Dials    uint64        // connections made or tried
	Opened   uint64        // outages: times that some part of Redis became unreachable
	Away     time.Duration // that these outages took, the present one included
	Down     bool          // nothing of Redis can be reached, as far as is known
	Partly   bool          // some of it cannot
}

// Stats returns the counts up to now.
func (c *Conn) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Dials = c.dialer.count()
	s.Down, s.Partly = c.shut == len(c.lanes), c.shut > 0
	if s.Partly {
		s.Away += time.Since(c.since)
	}
	return s
}
