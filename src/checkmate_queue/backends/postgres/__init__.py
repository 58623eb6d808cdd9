"""PostgreSQL as a backend (15 and newer), through asyncpg.

Every verb is one call of a PL/pgSQL function of the same name, so one round trip and one short transaction;
`sql/functions/` has one a file. Those who sleep are told by NOTIFY, as a hint.

Locks, in the order in which a transaction takes them; what is not listed is never waited for:

1. the queue's advisory lock: shared by verbs that move jobs; exclusive for those that change who there is
   or take jobs in all their states (join, leave, a tick that reaps, repair) and for the fence;
2. the row of `contact`, at most every 100 ms, waited for only where leases may have to be moved on;
3. the worker's own row of `epoch` or `member`;
4. the advisory lock of whoever promotes, or of adding under a limit; he who promotes waits for no delivery,
   so those who have settled some may wait for him;
5. deliveries: one's own, or `SKIP LOCKED`;
6. schedules that fire, in the order of their ids; new jobs, in the order of their ids;
7. `share`, the counts of open deliveries, in key order, once a transaction; then `outcome`, by schedule;
8. `counter`, by group, last.

Callers' transactions write `inbox` and nothing else, hold its advisory lock shared, for which only a fence
waits, and never wait themselves. Whoever promotes takes in what they have committed (4), and then waits for
those who add jobs of the same ids (6), who do not wait for him any more.
"""
