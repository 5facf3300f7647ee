package setup

// Request has a task done as soon as nothing else runs for the node.
func (s *Service) Request(task, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[task] = why
	select {
	case s.wake <- struct{}{}:
	default: // the daemon is about to look
	}
}

// wanted is why a task is wanted at once; "" when it is not.
func (s *Service) wanted(task string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[task]
}

// taken notes that a task begins: its request is answered, however it ends.
func (s *Service) taken(task string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.requests, task)
}
