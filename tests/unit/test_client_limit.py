"""Which client connection makes room for another."""

from collections import Counter

import pytest

from proxy.relay.client_limit import MADE_ROOM, MAX_CLIENTS, REFUSED, ClientLimit, most_idle


class Connection:
    def __init__(self):
        self.has_ended = False

    def make_room(self):
        self.has_ended = True


@pytest.fixture
def oddities():
    return Counter()


@pytest.fixture
def limit(oddities):
    """A limit of three clients."""
    return ClientLimit(9, oddities)


def admitted(limit, count, *, busy=False):
    connections = [Connection() for _ in range(count)]
    for connection in connections:
        assert limit.admit(connection)
        if busy:
            limit.begun(connection)
    return connections


def serve(limit, connection):
    limit.begun(connection)
    limit.served(connection)


def test_one_that_never_sent_a_request_goes_before_one_that_was_served(limit, oddities):
    served, first, second = admitted(limit, 3)
    serve(limit, served)

    admitted(limit, 1)

    assert (served.has_ended, first.has_ended, second.has_ended) == (False, True, False)
    assert oddities == {MADE_ROOM: 1}
    assert len(limit) == limit.at_most


def test_of_those_that_were_served_the_one_goes_that_is_idle_for_longest(limit):
    first, second, third = admitted(limit, 3)
    for connection in (first, second, third, first):
        serve(limit, connection)

    admitted(limit, 1)

    assert [each.has_ended for each in (first, second, third)] == [False, True, False]


def test_one_whose_response_is_owed_never_goes_and_the_new_one_is_refused(limit, oddities):
    busy = admitted(limit, 3, busy=True)

    assert not limit.admit(Connection())
    assert not any(connection.has_ended for connection in busy)
    assert oddities == {REFUSED: 1}


def test_however_many_are_busy_one_that_never_sent_a_request_goes_first(oddities):
    limit = ClientLimit(3 * 1_000, oddities)
    [served] = admitted(limit, 1)
    serve(limit, served)
    busy = admitted(limit, 998, busy=True)
    [silent] = admitted(limit, 1)

    admitted(limit, 1, busy=True)

    assert silent.has_ended
    assert not any(connection.has_ended for connection in (served, *busy))


def test_one_that_was_served_and_is_busy_again_never_goes(limit, oddities):
    connections = admitted(limit, 3)
    for connection in connections:
        serve(limit, connection)
        limit.begun(connection)

    assert not limit.admit(Connection())
    assert oddities == {REFUSED: 1}


def test_the_limit_is_a_problem_until_there_is_room_again(limit):
    connections = admitted(limit, 3)
    assert limit.problem is None
    admitted(limit, 1)
    assert "limit of 3 clients is reached" in str(limit.problem)

    for connection in connections:
        limit.leave(connection)
    assert limit.problem is None


@pytest.mark.parametrize("files", [100, 896, 1_000_000])
def test_clients_their_requests_and_what_upstreams_keep_fit_into_the_files(files):
    clients = ClientLimit(files, Counter()).at_most
    assert 1 <= clients <= MAX_CLIENTS
    assert 2 * clients + 3 * most_idle(files) <= files
