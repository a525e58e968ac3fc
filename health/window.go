package health

// counts are results of one backend, of all time or within an interval.
type counts struct {
	results, bad, failed uint64 // bad includes failed
}

func (r *record) counts() counts {
	failed, bad := r.failed.Load(), r.bad.Load() // in this order none is more than the next
	return counts{results: max(bad, r.results.Load()), bad: max(failed, bad), failed: failed}
}

func (c counts) minus(d counts) counts {
	return counts{c.results - d.results, c.bad - d.bad, c.failed - d.failed}
}

// badShare returns which share of the results is bad, zero of none.
func (c counts) badShare() float64 {
	if c.results == 0 {
		return 0
	}
	return float64(c.bad) / float64(c.results)
}

// slots is into how many parts an interval is divided, by which it slides.
const slots = 10

// window remembers what the counts were at the ends of the last slots. The zero value is that of a
// backend without results.
type window struct {
	marks [slots]counts
	at    int // of the oldest
}

// newWindow begins with what is no longer of interest.
func newWindow(c counts) (w window) {
	for i := range w.marks {
		w.marks[i] = c
	}
	return w
}

// add ends a slot, and returns what has come within the interval.
func (w window) add(c counts) (next window, within counts) {
	within = c.minus(w.marks[w.at])
	w.marks[w.at] = c
	w.at = (w.at + 1) % slots
	return w, within
}
