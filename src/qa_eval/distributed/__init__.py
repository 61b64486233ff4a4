"""The engine's work on Ray: the same run, done by workers on many machines.

The driver is the process of the run. It plans, journals, paces, records; the engine, the limiter, the journal and the
recorder do not know of Ray. They meet it behind the protocols that they have anyway: a `Target`, the gateway's client
for judges, a `Metric`, an `Embedder`, each of which sends its call to a worker and awaits the result (`remote`).

    workers   the stages of a run, opened and closed
    cluster   a Ray cluster: joined, or started on this machine
    pool      the workers of one stage: who gets which job, and what becomes of it when a worker dies
    worker    what runs in an actor
    remote    what the engine sees of it

What follows from that:

* One limiter. A question is sent when it has its permit, and a try that is answered with 429 or `Retry-After` anywhere
  comes back as such: it slows all. Retries, budget and early stop are the engine's own. Permits travel in batches, and
  answers too: what comes within 2 ms shares a message, so that the driver's work an answer stays small.
* Nothing counts before it is in the driver's journal. `resume` needs no Ray, and a run without Ray can be resumed on
  one. A worker keeps nothing.
* An actor is not restarted by Ray, nor a call retried: a paid call is repeated only by whoever counts it. The pool puts
  a new actor in the place of a dead one and asks again what that had in flight, under the permits that it has; a job
  that three workers died of is the question's outcome, `task_error`.
* Built-in metrics stay with the driver, except for embeddings: moving an answer costs more than comparing it with its
  references. A metric with a judge of its own stays there too; its calls go to workers. So does the cache of
  embeddings, so that only unknown texts travel.
* Secrets go to the workers as arguments of a call, never into Ray's runtime environment or an actor's creation, which
  Ray stores and shows; and apart from functions and prompts, since large arguments go through Ray's object store.

Ray is imported when a run first needs it.
"""
