import os
import socket

from bench import proc

STAT = "4242 (a (strange) name) S 17 4242 4242 0 -1 4194560 5 0 0 0 250 50 7 9 20 0 3 0 100 1000 200 0"


def test_stat_of_a_command_with_parentheses_in_its_name():
    stat = proc.parse_stat(STAT)
    assert stat.parent == 17
    assert stat.cpu_s == 300 / proc.TICKS


def test_memory_is_the_proportional_share_where_given():
    text = "5500-7fff ---p 00000000 00:00 0 [rollup]\nRss:   1720 kB\nPss:   396 kB\nPss_Dirty:  112 kB\n"
    assert proc.parse_memory(text) == 396 * 1024
    assert proc.parse_memory("Rss:   1720 kB\n") == 1720 * 1024


def test_busy_seconds_leave_idle_and_waiting_out():
    text = "cpu  100 1 200 90000 700 3 4 5 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"
    assert proc.parse_busy(text) == 313 / proc.TICKS


def test_queues():
    text = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
        "   0: 0100007F:1F90 0200007F:C350 01 00000A00:00000010 00:00000000 00000000     0        0 1\n"
    )
    assert proc.parse_queues(text) == [proc.Queue(8080, 50000, 1, 2560, 16)]


def test_descendants_are_found_in_any_order():
    assert sorted(proc.descendants(10, {10: 1, 40: 30, 20: 10, 30: 20, 99: 1})) == [10, 20, 30, 40]


def test_this_very_process():
    pid = os.getpid()
    assert pid in proc.tree(pid)
    assert proc.cpu_seconds([pid]) > 0
    assert proc.memory_bytes([pid]) > 1_000_000
    assert proc.descriptors([pid]) > 2


def test_what_is_gone_counts_for_nothing():
    assert proc.tree(2**22 + 1) == []
    assert proc.cpu_seconds([2**22 + 1]) == 0
    assert proc.memory_bytes([2**22 + 1]) == 0


def test_unread_bytes_show_in_the_queues():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        accepted, _ = server.accept()
        with accepted:
            client.sendall(b"x" * 1000)
            port = server.getsockname()[1]
            assert sum(queue.receive_bytes for queue in proc.queues() if queue.local_port == port) >= 1000
