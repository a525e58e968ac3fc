package limit

import "time"

// clock makes of readings that may go back a time that never does. When a clock is set back, it
// goes on from where it was: buckets neither fill at once nor stop to fill.
type clock struct {
	read time.Time // the latest reading
	now  time.Time
}

// overtaken bounds how late a reading may come because its goroutine had to wait. Such a reading
// must not move the clock, or the time between would count twice.
const overtaken = time.Second

// at returns the time at a reading.
func (c *clock) at(reading time.Time) time.Time {
	passed := reading.Sub(c.read)
	switch {
	case c.read.IsZero():
		c.read, c.now = reading, reading
	case passed >= 0:
		c.read, c.now = reading, c.now.Add(passed)
	case passed < -overtaken:
		c.read = reading
	}
	return c.now
}
