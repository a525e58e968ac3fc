package redis

// Stats is what a Leader has seen so far.
type Stats struct {
	Leading    int    // 1 while this instance leads, else 0
	Terms      uint64 // that it has led
	Lost       uint64 // of these, those that ended because the lock was lost
	Generation uint64 // of the State as it was last seen: the terms of all instances
	Desired    int    // backends, by that State
	Instances  int    // that have reported lately, this one included
	Conflicts  uint64 // writes of the State that came too late, since another had been faster
	Failures   uint64 // calls without an answer in time, or with an error
	Rejected   uint64 // States and reports that none of ours has written
}

// Stats returns the figures up to now.
func (l *Leader) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}
