package sim

const chunk = 1 << 10

// slab lends things by number. Those that are given back are lent again, with what was in them, so
// that it allocates only for as many as are lent at a time. Pointers to them stay good.
type slab[T any] struct {
	chunks [][]T
	free   []int32
	lent   int
}

func (s *slab[T]) at(i int32) *T { return &s.chunks[i/chunk][i%chunk] }

func (s *slab[T]) take() int32 {
	s.lent++
	if n := len(s.free); n > 0 {
		i := s.free[n-1]
		s.free = s.free[:n-1]
		return i
	}
	from := int32(len(s.chunks)) * chunk
	s.chunks = append(s.chunks, make([]T, chunk))
	for i := from + chunk - 1; i > from; i-- {
		s.free = append(s.free, i)
	}
	return from
}

func (s *slab[T]) give(i int32) {
	s.lent--
	s.free = append(s.free, i)
}
