package grace_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/grace"
)

func TestAPeriodBeginsWhenTheContextIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		late, done := grace.Period(ctx, time.Minute)
		defer done()
		time.Sleep(time.Hour)
		if late.Err() != nil {
			t.Fatal("the period has begun while nobody told the command to end")
		}
		cancel()
		time.Sleep(time.Minute - time.Second)
		if late.Err() != nil {
			t.Error("it has ended too early")
		}
		time.Sleep(2 * time.Second)
		if late.Err() == nil {
			t.Error("it does not end")
		}
	})
}

func TestAPeriodOfAContextThatHasEndedAlready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		late, done := grace.Period(ctx, time.Minute)
		defer done()
		if late.Err() != nil {
			t.Error("nothing could be done any more")
		}
		time.Sleep(61 * time.Second)
		if late.Err() == nil {
			t.Error("it does not end")
		}
	})
}
