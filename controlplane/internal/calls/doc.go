// Package calls holds the use cases of the API, one method of Service per call:
// find the session, place it if it never negotiated, send one command to its
// worker, record what the worker says. It knows neither HTTP nor NATS.
//
// # Guarantees
//
//   - A session has one owner. Two replicas may serve its first two calls at
//     once: the directory's claim decides and the loser uses the winner's worker.
//     Ownership moves only by compare-and-set and only before the first commit.
//   - A call ends within Budget, whatever fails.
//   - The worker is the authority on what its session is. Once it has answered,
//     the call succeeds even where the directory cannot be told: the worker's
//     next lease renewal shows the higher revision and restores the entry. The
//     one exception is a fence: the directory says that another worker owns the
//     session, so the work was done on an orphan, which is closed, and the call
//     fails as retryable.
//   - SessionGone is only answered when the directory is known to be complete
//     and no worker claims the session; while that is in doubt the answer is a
//     retryable 503.
package calls
