from concurrent.futures import BrokenExecutor, Executor, Future

from loadgen.engine import worker
from loadgen.engine.links import ShardLink, ShardLinks
from loadgen.engine.shards import ShardPlan
from loadgen.workload.campaign import Campaign


class ThisProcess(Executor):
    """Runs at once what is submitted; dies when told to."""

    def __init__(self):
        self.submitted = []
        self.is_dead = False
        self.is_shut_down = False

    def submit(self, function, /, *args, **kwargs):
        self.submitted.append((function.__name__, *args))
        future = Future()
        if self.is_dead:
            raise BrokenExecutor("a process died")
        future.set_result(function(*args, **kwargs))
        return future

    def shutdown(self, wait=True, *, cancel_futures=False):
        self.is_shut_down = True


def plan(shard):
    return ShardPlan(
        shard=shard, users=range(3), campaign=Campaign(), population=None, proxies=(), accounts=None, ports=1
    )


def double(number):
    return 2 * number


def nothing():
    return None


def test_all_shards_are_asked_at_once_and_a_dead_one_stays_silent(run):
    executors = [ThisProcess(), ThisProcess()]
    links = ShardLinks([ShardLink(plan(number), executor) for number, executor in enumerate(executors)])

    async def main():
        assert await links.call(double, 4) == [8, 8]
        assert await links.call(nothing) == []
        executors[0].is_dead = True
        assert await links.call(double, 5) == [10]
        assert [link.plan.shard for link in links.lost] == [0]
        assert [link.plan.shard for link in links.alive] == [1]
        assert await links.call(double, 6) == [12]
        assert await links.lost[0].call(double, 6) is None

    run(main())
    assert executors[0].submitted == [("double", 4), ("nothing",), ("double", 5)]
    links.release()
    assert all(executor.is_shut_down for executor in executors)


def test_each_worker_opens_its_own_shard(run, monkeypatch):
    opened = []

    def open_shard(shard_plan):
        opened.append(shard_plan.shard)

    monkeypatch.setattr(worker, "open_shard", open_shard)
    run(ShardLinks([ShardLink(plan(number), ThisProcess()) for number in range(3)]).open())
    assert opened == [0, 1, 2]
