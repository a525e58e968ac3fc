package keep

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"
)

func keyOf(n uint64) Key {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, n))
	return Key(sum[:16])
}

func use(t *Table[uint64], n uint64) bool {
	p := t.Lock(keyOf(n))
	defer p.Unlock()
	v := p.Use()
	return v != nil && *v == n
}

func add(t *Table[uint64], n uint64) {
	p := t.Lock(keyOf(n))
	defer p.Unlock()
	if p.Peek() == nil {
		*p.Add() = n
	}
}

func remove(t *Table[uint64], n uint64) {
	p := t.Lock(keyOf(n))
	defer p.Unlock()
	p.Remove()
}

// sound checks what holds of a table at all times.
func sound(t *testing.T, table *Table[uint64]) {
	t.Helper()
	for i := range table.shards {
		s := &table.shards[i]
		pointed := 0
		for _, at := range s.index {
			if at != 0 {
				pointed++
			}
		}
		if pointed != s.len || s.queues[small].len+s.queues[main].len != s.len || s.len > s.size || len(s.entries) > s.size {
			t.Fatalf("shard %d: %d of at most %d entries in %d places, %d in the index, queues %+v", i, s.len, s.size, len(s.entries), pointed, s.queues)
		}
		for q := small; q <= main; q++ {
			n, prev := 0, none
			for at := s.queues[q].first; at != none; at = s.entries[at].next {
				e := s.entries[at]
				if e.queue != q || e.prev != prev || s.find(e.key, e.hash) != at || e.value == 0 || e.key != keyOf(e.value) {
					t.Fatalf("shard %d, queue %d: entry %d is %+v", i, q, at, e)
				}
				prev = at
				n++
			}
			if n != s.queues[q].len || s.queues[q].last != prev {
				t.Fatalf("shard %d: queue %d has %d entries: %+v", i, q, n, s.queues[q])
			}
		}
	}
}

// The table is a map that forgets: what it has is what was put there last, and never more than fit.
func TestTableIsAMapThatForgets(t *testing.T) {
	for _, size := range []int{1, 2, 3, 10, 100, 5000} {
		draws := rand.New(rand.NewPCG(1, uint64(size)))
		table, known := New[uint64](size), map[uint64]bool{}
		for step := range 20_000 {
			n := 1 + draws.Uint64N(uint64(2*size+2))
			switch draws.IntN(5) {
			case 0, 1:
				add(table, n)
				known[n] = true
				if !use(table, n) {
					t.Fatalf("size %d: a newcomer is not there", size)
				}
			case 2:
				remove(table, n)
				delete(known, n)
			default:
				if use(table, n) && !known[n] {
					t.Fatalf("size %d: it has what it was not given", size)
				}
			}
			if step%997 == 0 {
				sound(t, table)
			}
		}
		sound(t, table)
		if got := table.Stats(); got.Len > size || size > 2 && size < 5000 && got.Evictions == 0 {
			t.Errorf("size %d: %+v", size, got)
		}
	}
}

// As long as there is room nobody goes.
func TestNobodyGoesWhileThereIsRoom(t *testing.T) {
	const size = 1000
	table := New[uint64](size)
	for round := range 10 {
		for n := range uint64(size) {
			add(table, n+1)
		}
		for n := range uint64(size) {
			if !use(table, n+1) {
				t.Fatalf("round %d: %d has gone", round, n)
			}
		}
	}
	if got := table.Stats(); got.Len != size || got.Evictions != 0 {
		t.Errorf("%+v", got)
	}
}

// A flood of keys that come once displaces few of those who are used.
func TestAFloodDisplacesFew(t *testing.T) {
	const size, hot = 10_000, 5_000
	table := New[uint64](size)
	for n := range uint64(hot) {
		add(table, n+1)
		use(table, n+1)
	}
	flood := uint64(1 << 32)
	for range 20 {
		for range size {
			flood++
			add(table, flood)
		}
		for n := range uint64(hot) {
			use(table, n+1)
		}
	}
	kept := 0
	for n := range uint64(hot) {
		if use(table, n+1) {
			kept++
		}
	}
	sound(t, table)
	t.Logf("%d of %d used ones were kept", kept, hot)
	if kept < hot*98/100 {
		t.Errorf("%d of %d used ones were kept", kept, hot)
	}
}

// Who comes back soon after it had to go is taken for one that is used.
func TestWhoComesBackStays(t *testing.T) {
	const size = 1000
	table := New[uint64](size)
	for n := range uint64(size) {
		add(table, n+1)
	}
	for n := range uint64(200) { // 1..200 have to go
		add(table, 10_000+n)
	}
	if use(table, 1) {
		t.Fatal("the first is still there")
	}
	add(table, 1)
	for n := range uint64(500) { // passes through the small queue several times
		add(table, 20_000+n)
	}
	if !use(table, 1) {
		t.Error("gone again")
	}
}

// When all are used at all times, a place is found all the same, in a bounded number of steps.
func TestAPlaceIsFoundWhenAllAreUsed(t *testing.T) {
	const size = 1000
	table := New[uint64](size)
	for n := uint64(1); n <= 10*size; n++ {
		add(table, n)
		for range maxUses {
			for m := n; m > 0 && m+20 > n; m-- {
				use(table, m)
			}
		}
	}
	for i := range table.shards[0].entries {
		table.shards[0].entries[i].uses = maxUses
	}
	add(table, 1<<40)
	sound(t, table)
	if table.Stats().Len != size || !use(table, 1<<40) {
		t.Errorf("%+v", table.Stats())
	}
}

// A popular few and a long tail: the table does better than one that forgets whoever was used least
// recently would have to, and about as well as could be hoped.
func TestPopularKeysAreThere(t *testing.T) {
	const size, keys = 2_000, 20_000
	draws := rand.New(rand.NewPCG(5, 6))
	zipf := rand.NewZipf(draws, 1.1, 10, keys-1)
	table := New[uint64](size)
	hits, asked := 0, 200_000
	for range asked {
		n := zipf.Uint64() + 1
		if use(table, n) {
			hits++
		} else {
			add(table, n)
		}
	}
	t.Logf("hit ratio %.3f", float64(hits)/float64(asked))
	if float64(hits) < .70*float64(asked) {
		t.Errorf("hit ratio %.3f", float64(hits)/float64(asked))
	}
}

func TestWalkShowsAll(t *testing.T) {
	table := New[uint64](5000)
	for n := range uint64(3000) {
		add(table, n+1)
	}
	for n := range uint64(1000) {
		remove(table, n+1)
	}
	seen := map[uint64]int{}
	steps := 0
	for at, more := (Cursor{}), true; more; steps++ {
		at, more = table.Walk(at, 100, func(k Key, v *uint64) {
			if k != keyOf(*v) {
				t.Fatal("another's key")
			}
			seen[*v]++
		})
	}
	if len(seen) != 2000 || steps < 30 {
		t.Errorf("%d entries in %d steps", len(seen), steps)
	}
	for n, times := range seen {
		if n <= 1000 || times != 1 {
			t.Errorf("%d: %d times", n, times)
		}
	}
}

func TestTableIsForMany(t *testing.T) {
	table := New[uint64](3000)
	var wg sync.WaitGroup
	for g := range uint64(8) {
		wg.Go(func() {
			draws := rand.New(rand.NewPCG(g, 9))
			for range 5000 {
				n := 1 + draws.Uint64N(6000)
				switch draws.IntN(4) {
				case 0:
					add(table, n)
				case 1:
					remove(table, n)
				default:
					use(table, n)
				}
			}
			table.Stats()
			table.Walk(Cursor{}, 10, func(Key, *uint64) {})
		})
	}
	wg.Wait()
	sound(t, table)
}

func TestUseAllocatesNothing(t *testing.T) {
	table := New[uint64](1000)
	add(table, 1)
	k := keyOf(1)
	if n := testing.AllocsPerRun(1000, func() { p := table.Lock(k); p.Use(); p.Unlock() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkUse(b *testing.B) {
	table := New[[40]byte](1 << 20)
	keys := make([]Key, 1<<16)
	for i := range keys {
		keys[i] = keyOf(uint64(i))
		p := table.Lock(keys[i])
		p.Add()
		p.Unlock()
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		p := table.Lock(keys[i&(1<<16-1)])
		p.Use()
		p.Unlock()
		i++
	}
}

// BenchmarkAddAtTheBound is what it takes to add a key when one has to go, by the size of the
// table: the same.
func BenchmarkAddAtTheBound(b *testing.B) {
	for name, size := range map[string]int{"10000": 10_000, "1000000": 1_000_000} {
		b.Run(name, func(b *testing.B) {
			table := New[[40]byte](size)
			n := uint64(0)
			next := func() {
				n++
				var k Key
				binary.BigEndian.PutUint64(k[:], n)
				p := table.Lock(k)
				p.Add()
				p.Unlock()
			}
			for range size + 1 {
				next()
			}
			b.ReportAllocs()
			for b.Loop() {
				next()
			}
		})
	}
}
