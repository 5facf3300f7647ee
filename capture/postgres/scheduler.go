package postgres

import "sync"

// scheduler holds the tasks of a restore table by table, in an order that keeps
// every lane busy to the end: the table with the most work left comes first,
// whether its rows are to be written, read back or indexed. Nobody waits for
// the last row of all tables before the first index is built.
//
// The tasks of a table are in stages. A stage begins when the one before has
// ended.
type scheduler struct {
	mu      sync.Mutex
	changed sync.Cond
	tables  []*tableTasks
	waiting int // lanes that find nothing to do
	stopped bool
}

// tableTasks are the tasks of one table.
type tableTasks struct {
	stages  [][]task
	left    int64 // weight of what has not ended
	running int
	alone   bool // one that has to be alone is running
}

// task is one thing that a lane does.
type task struct {
	name   string
	weight int64 // how long it takes, in bytes of rows
	alone  bool  // it locks the table against the table's other tasks
	do     func(l *lease, idle int) error
}

func newScheduler(tables [][][]task) *scheduler {
	a := &scheduler{}
	a.changed.L = &a.mu
	for _, stages := range tables {
		c := &tableTasks{}
		for _, stage := range stages {
			if len(stage) == 0 {
				continue
			}
			c.stages = append(c.stages, stage)
			for _, t := range stage {
				c.left += t.weight
			}
		}
		if len(c.stages) > 0 {
			a.tables = append(a.tables, c)
		}
	}
	return a
}

// run is one lane: it takes tasks until none is left, or one has failed. A task
// receives how many lanes are idle meanwhile.
func (a *scheduler) run(l *lease) error {
	for {
		c, t, idle, ok := a.take()
		if !ok {
			return nil
		}
		err := t.do(l, idle)
		a.ended(c, t, err != nil)
		if err != nil {
			return err
		}
	}
}

// stop makes every lane end after the task it is at.
func (a *scheduler) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
	a.changed.Broadcast()
}

func (a *scheduler) take() (*tableTasks, task, int, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for !a.stopped {
		var best *tableTasks
		at, open := 0, false
		for _, c := range a.tables {
			if len(c.stages) == 0 && c.running == 0 {
				continue
			}
			open = true
			if i := c.next(); i >= 0 && (best == nil || c.left > best.left) {
				best, at = c, i
			}
		}
		if best != nil {
			t := best.take(at)
			return best, t, max(0, a.waiting-a.ready()), true
		}
		if !open {
			break
		}
		a.waiting++
		a.changed.Wait()
		a.waiting--
	}
	return nil, task{}, 0, false
}

// ready counts the tasks that lanes which wait now will find.
func (a *scheduler) ready() int {
	n := 0
	for _, c := range a.tables {
		if len(c.stages) == 0 || c.alone {
			continue
		}
		for _, t := range c.stages[0] {
			if !t.alone || c.running == 0 {
				n++
			}
		}
	}
	return n
}

// next is the heaviest task of the stage that can be begun now, those first
// that have to be alone, or -1.
func (c *tableTasks) next() int {
	if len(c.stages) == 0 || c.alone {
		return -1
	}
	best := -1
	for i, t := range c.stages[0] {
		if t.alone && c.running > 0 {
			continue
		}
		if best < 0 || t.alone && !c.stages[0][best].alone ||
			t.alone == c.stages[0][best].alone && t.weight > c.stages[0][best].weight {
			best = i
		}
	}
	return best
}

func (c *tableTasks) take(i int) task {
	t := c.stages[0][i]
	// The stage's tasks are the caller's slice: it is copied before it shrinks.
	rest := make([]task, 0, len(c.stages[0])-1)
	c.stages[0] = append(append(rest, c.stages[0][:i]...), c.stages[0][i+1:]...)
	c.running++
	c.alone = t.alone
	return t
}

func (a *scheduler) ended(c *tableTasks, t task, failed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c.running--
	c.left -= t.weight
	c.alone = false
	if c.running == 0 && len(c.stages) > 0 && len(c.stages[0]) == 0 {
		c.stages = c.stages[1:]
	}
	if failed {
		a.stopped = true
	}
	a.changed.Broadcast()
}
