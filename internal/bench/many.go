package main

import (
	"context"
	"time"
)

// many takes one set after another of a participant that grows and prunes, and
// compares what all of them store with what one does, and the last ones' time with
// the first ones'.
func (b *bench) many(ctx context.Context) error {
	end, err := b.node.LedgerEnd(ctx)
	if err != nil {
		return err
	}
	updates := max(1, int64(float64(end)*b.turn/100))
	r, err := b.newRepository(ctx, "many", b.node.ParticipantDSN(), clientsOf(b))
	if err != nil {
		return err
	}
	first, _, err := r.backup(ctx)
	if err != nil {
		return err
	}
	b.noteSample("holdfast, first of many", first)
	var took, cpu []float64
	var last sample
	for i := 1; i < b.howMany; i++ {
		if err := b.node.Turn(ctx, updates); err != nil {
			return err
		}
		next, _, err := r.backup(ctx)
		if err != nil {
			return err
		}
		if i%10 == 0 {
			b.noteSample("holdfast, one of many", next)
		}
		last = next
		took, cpu = append(took, next.wall.Seconds()), append(cpu, next.cpu.Seconds())
	}
	size, err := b.size(ctx)
	if err != nil {
		return err
	}
	few := min(20, len(took)/2)
	if few == 0 {
		return r.remove()
	}
	b.note("%d sets, %d updates new and as many pruned before each; the database has %d MiB", b.howMany, updates, size>>20)
	b.results.add("many sets: stored, of one set's", atMost(2.5), float64(last.stored)/float64(first.stored))
	b.results.add("many sets: time of the last ones / of the first next ones", atMost(1.2),
		median(took[len(took)-few:])/median(took[:few]))
	b.results.add("many sets: CPU of the last ones / of the first next ones", atMost(1.2),
		median(cpu[len(cpu)-few:])/median(cpu[:few]))
	b.results.add("many sets: a next one / the first", nil, median(took)/first.wall.Seconds())
	b.results.sample("holdfast backup, one of many", sample{wall: time.Duration(median(took) * float64(time.Second)),
		cpu: time.Duration(median(cpu) * float64(time.Second)), stored: last.stored})
	return r.remove()
}
