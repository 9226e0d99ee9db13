"""What the processes of the server have used."""
import os

from report import sql


def server_processes():
    with open(sql("SELECT current_setting('data_directory')") + '/postmaster.pid') as file:
        postmaster = file.readline().strip()
    with open(f'/proc/{postmaster}/task/{postmaster}/children') as file:
        return [postmaster] + file.read().split()


def on_cpu(pids):
    """Seconds that these processes have run, to the nanosecond; one that has gone counts nothing."""
    total = 0
    for pid in pids:
        try:
            with open(f'/proc/{pid}/schedstat') as file:
                total += int(file.read().split()[0])
        except FileNotFoundError:
            pass
    return total / 1e9


def in_user_mode(pids):
    """Seconds of them in the server's own code, not in the kernel's; to ticks of 10 ms."""
    total = 0
    for pid in pids:
        try:
            with open(f'/proc/{pid}/stat') as file:
                total += int(file.read().rsplit(')', 1)[1].split()[11])
        except FileNotFoundError:
            pass
    return total / os.sysconf('SC_CLK_TCK')
