# What the tests that start servers of their own share.
#
# A Load is a crowd of producers, each a psql with a script of transactions made
# in advance.  A producer writes a line when the server has acknowledged a
# transaction; so whatever happens to the server, we know what it has promised,
# and every message says itself which transaction it belongs to and what its
# content has to be.

package TopicTest;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

our @EXPORT = qw(
  new_node setup_load_database contents verify_silent log_is_clean seed pause
  fails_with kill_postmaster comes_back whole_messages read_beside
);

# new_node(name, init => [...], conf => "..."): a server with pgtopic, not yet
# started.  log_statement is off, or the log is larger than the load.  Its encoding
# does not hang on the environment: PostgreSQL::Test takes LC_ALL away, and without
# LANG the databases would be SQL_ASCII.
sub new_node
{
	my ($name, %arg) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	my %init = @{ $arg{init} // [] };

	$node->init(%init, extra => [ '-E', 'UTF8', '--locale=C', @{ $init{extra} // [] } ]);
	$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'pgtopic'
log_statement = none
log_line_prefix = '%m [%p] %e %q%a '
log_min_messages = warning
shared_buffers = 32MB
max_connections = 40
max_prepared_transactions = 20
max_wal_size = 256MB
wal_keep_size = 1GB
restart_after_crash = on
statement_timeout = 100s
} . ($arg{conf} // ''));
	return $node;
}

# Every random choice of a test follows from one number, which it prints.
sub seed
{
	my $seed = $ENV{PGTOPIC_TEST_SEED} // int(rand(2**31));

	srand($seed);
	note "seed $seed: repeat with PGTOPIC_TEST_SEED=$seed";
	return $seed;
}

# A random moment of the load's life.
sub pause
{
	my ($from, $to) = @_;

	Time::HiRes::sleep($from + rand($to - $from));
	return;
}

# The extension, and payload(): the content that a message with this id has.
sub setup_load_database
{
	my ($node, $topics) = @_;

	$node->safe_psql('postgres', q{
CREATE EXTENSION pgtopic;
CREATE FUNCTION payload(id text, size int) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
	SELECT head || repeat(md5(id), (size - length(head)) / 32) || repeat('.', (size - length(head)) % 32)
	FROM (SELECT id || ' ' || size || ' ' OFFSET 0) AS h(head)
$$;
CREATE FUNCTION is_payload(value text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
	SELECT value = payload(split_part(value, ' ', 1), split_part(value, ' ', 2)::int)
$$;
} . $topics);
	return;
}

# All of a topic in a few lines that can be compared.
sub contents
{
	my ($node, $topic, $where) = @_;

	$where //= 'true';
	return $node->safe_psql('postgres', qq{
SELECT partition, count(*), min(log_offset), max(log_offset),
	md5(string_agg(concat_ws(',', log_offset, extract(epoch FROM timestamp),
		coalesce(md5(key), 'null'), coalesce(md5(value), 'null'), headers), ';' ORDER BY log_offset))
FROM $topic WHERE $where GROUP BY partition ORDER BY partition});
}

sub verify_silent
{
	my ($node, $topic, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($node->safe_psql('postgres', "SELECT * FROM topic.verify('$topic')"),
		'', $name // "topic.verify('$topic') is silent");
	return;
}

# fails_with(node, sql, sqlstate, name)
sub fails_with
{
	my ($node, $sql, $sqlstate, $name) = @_;
	my ($out, $err);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$node->psql('postgres', "\\set VERBOSITY verbose\n$sql",
		stdout => \$out, stderr => \$err, on_error_stop => 1);
	like($err, qr/(ERROR|FATAL):  $sqlstate:/, $name);
	return $err;
}

# kill -9; the shared memory is free when the children have noticed and are gone.
sub kill_postmaster
{
	my ($node) = @_;
	my $pids = $node->safe_psql('postgres', 'SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()');

	$node->kill9;
	for my $pid (split /\n/, $pids)
	{
		for (1 .. 1000)
		{
			last unless kill 0, $pid;
			Time::HiRes::sleep(0.01);
		}
	}
	return;
}

# Waits until a server whose process was killed has begun anew.  By pg_isready: a psql that is
# refused may be gone before we have written its query, and that is an exception.
sub comes_back
{
	my ($node) = @_;

	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return if system('pg_isready', '-q', '-h', $node->host, '-p', $node->port) == 0;
		Time::HiRes::sleep(0.1);
	}
	die 'the server does not come back';
}

# A query that returns 0 if all messages are whole ones, in order, and none was
# rolled back; and none is missing between them, where there are no gaps.  The rows
# are numbered as they come: a sort by partition alone may mix those of one partition
# once it goes to disk.
sub whole_messages
{
	my ($source, $gapless) = @_;
	my $wrong = $gapless ? '<> previous + 1' : '<= previous';

	return qq{
SELECT count(*) FILTER (WHERE NOT is_payload(v) OR v LIKE 'x%' OR log_offset $wrong) FROM (
	SELECT v, log_offset, lag(log_offset) OVER (PARTITION BY partition ORDER BY n) AS previous
	FROM (SELECT convert_from(value, 'UTF8') AS v, partition, log_offset, row_number() OVER () AS n FROM $source) numbered) s};
}

# Reads a topic that is being trimmed, in several ways: a reader may meet whole
# messages, or the word that it was overtaken.  Counts in $result; gapless => 1 in it
# says that fetch has to find every offset, and slow => 1 that one reader shall be so
# slow that the space it reads is given to others meanwhile.
sub read_beside
{
	my ($node, $topic, $result) = @_;

	for my $source ($topic,
		$result->{slow} ? "(SELECT r.* FROM (SELECT * FROM $topic LIMIT 200) r, LATERAL pg_sleep(CASE log_offset % 10 WHEN 0 THEN 0.03 ELSE 0 END)) s" : (),
		map { "(SELECT f.* FROM topic.list_offsets('$topic') o (p), topic.fetch('$topic', p, log_start_offset, $_) f) g" } 10, 1000)
	{
		my ($out, $err) = ('', '');

		$node->psql('postgres', "\\set VERBOSITY verbose\n" . whole_messages($source, $result->{gapless} && $source =~ /fetch/), stdout => \$out, stderr => \$err);
		if ($err eq '')
		{
			push @{ $result->{wrong} }, $out if $out ne '0';
			$result->{read}++;
		}
		elsif ($err =~ /ERROR:  (?:72000|TP001|40001): /)
		{
			$result->{overtaken}++;
		}
		else
		{
			push @{ $result->{wrong} }, $err;
		}
	}
	return;
}

# What PostgreSQL says of CHECKPOINT in a server whose postmaster was killed
our $checkpointer_gone = qr/could not signal for checkpoint/;

# No broken assertion, no internal error, no crash that the test did not cause.
sub log_is_clean
{
	my ($node, $caused_crashes) = @_;
	my $bad = qr/TRAP:|PANIC: |\] XX\d\d\d .*(?:WARNING|LOG|ERROR|FATAL): |signal (?:4|6|7|8|11):/;
	my @lines;

	$bad = qr/$bad|was terminated by signal/ unless $caused_crashes;
	@lines = grep { /$bad/ && !/$checkpointer_gone/ } split /\n/, slurp_file($node->logfile);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(join("\n", @lines[ 0 .. ($#lines < 9 ? $#lines : 9) ]),
		'', 'log of server ' . $node->name . ' is clean');
	return;
}

# Sessions of psql that work beside the test, all by files, so that they go on
# without us.
package TopicTest::Beside;

use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Utils;

sub new
{
	my ($class, $node) = @_;

	return bless { node => $node, scratch => PostgreSQL::Test::Utils::tempdir(), begun => 0, running => [] }, $class;
}

# Returns the file that gets what the statements return.
sub begin
{
	my ($self, $sql) = @_;
	my $path = "$self->{scratch}/" . ++$self->{begun};

	append_to_file("$path.sql", $sql);
	push @{ $self->{running} }, {
		path => $path,
		handle => IPC::Run::start([ 'psql', '-XqAt', '-d', $self->{node}->connstr('postgres'), '-v', 'VERBOSITY=verbose', '-f', "$path.sql" ],
			'<', '/dev/null', '>', "$path.out", '2>', "$path.err") };
	return "$path.out";
}

# Waits for all; returns their errors, but for the end of the server, readers that
# were overtaken, and deadlocks.
sub finish
{
	my ($self) = @_;
	my @errors;

	for my $session (@{ $self->{running} })
	{
		$session->{handle}->finish;
		push @errors, grep { /ERROR/ && !/ERROR:  (?:57P0|72000|40P01)|$TopicTest::checkpointer_gone/ } split /\n/, slurp_file("$session->{path}.err");
	}
	$self->{running} = [];
	return join "\n", @errors;
}

package TopicTest::Load;

use strict;
use warnings;

use Test::More;
use Time::HiRes ();

# Load->new(topic => 't', partitions => 4, producers => 16, transactions => 400,
#           kinds => { one => 10, ... })
# With trimmed => 1 the producers also say which offsets their messages have got,
# for check_trimmed().
# With witness => 1 each transaction also writes its id into the heap table
# witness: at whatever moment recovery ends, heap and topic have to agree.
sub new
{
	my ($class, %arg) = @_;
	my $self = {
		producers => 16,
		partitions => 4,
		transactions => 400,
		max_size => 1000 * 1000,
		round => 0,
		sent => {},     # transaction -> how many messages it has
		acked => {},    # transaction -> it must be there
		maybe => {},    # transaction -> sent and not acknowledged
		errors => [],
		%arg,
	};

	$self->{kinds} //= {
		one => 30, batch => 15, insert => 10, call => 8, call_rollback => 6,
		spill => 5, spill_rollback => 4, savepoint => 8, big => 3,
		prepared => 3, checkpoint => 0.3, vacuum => 0.3
	};
	my @urn;
	push @urn, ($_) x int(10 * $self->{kinds}{$_}) for sort keys %{ $self->{kinds} };
	$self->{urn} = \@urn;
	return bless $self, $class;
}

# One transaction as SQL.  $id begins with r<round>p<producer>-<number>; ids that
# begin with x must never be seen.
sub transaction
{
	my ($self, $id, $kind) = @_;
	my $topic = $self->{topic};
	my ($producer) = $id =~ /p(\d+)-/;
	my $key = rand() < 0.8 ? "'p$producer'" : 'NULL';
	my $partition = rand() < 0.3 ? int(rand($self->{partitions})) : 'NULL';
	my $size = int(rand(rand() < 0.2 ? 20000 : 300));
	my $count = 1;
	my $one = sub {
		my ($name, $bytes) = @_;
		return "SELECT topic.produce('$topic', payload('$name', $bytes), $key, partition => $partition);\n";
	};
	my $batch = sub {
		my ($name, $first, $last, $bytes) = @_;
		return "SELECT topic.produce_batch('$topic', array_agg(payload('$name-' || i, $bytes)),"
		  . " CASE WHEN $key IS NULL THEN NULL ELSE array_agg($key\::text) END, partition => $partition)"
		  . " FROM generate_series($first, $last) i;\n";
	};
	my $sql;

	if ($kind eq 'one')
	{
		$sql = $one->("$id-1", $size);
	}
	elsif ($kind eq 'big')
	{
		$sql = $one->("$id-1", int(rand($self->{max_size})));
	}
	elsif ($kind eq 'batch')
	{
		$count = 1 + int(rand(100));
		$sql = $batch->($id, 1, $count, $size);
	}
	elsif ($kind eq 'insert')
	{
		$count = 1 + int(rand(30));
		$sql = "INSERT INTO $topic (key, value) SELECT convert_to($key, 'UTF8'), convert_to(payload('$id-' || i, $size), 'UTF8')"
		  . " FROM generate_series(1, $count) i;\n";
	}
	elsif ($kind =~ /^call/)
	{
		my $name = $kind eq 'call' ? $id : "x$id";

		$count = $kind eq 'call' ? 3 : 0;
		$sql = "BEGIN;\nSET LOCAL pgtopic.append_at = 'call';\n"
		  . join('', map { $one->("$name-$_", $size) } 1 .. 3)
		  . ($kind eq 'call' ? "COMMIT;\n" : "ROLLBACK;\n");
	}
	elsif ($kind =~ /^spill/)
	{
		my $name = $kind eq 'spill' ? $id : "x$id";

		$count = $kind eq 'spill' ? 200 : 0;
		$sql = "BEGIN;\nSET LOCAL pgtopic.produce_buffer = '64kB';\n"
		  . $batch->($name, 1, 100, 1000)
		  . "SAVEPOINT s;\n"
		  . $batch->("x$id-x", 1, 100, 1000)
		  . "ROLLBACK TO s;\n"
		  . $batch->($name, 101, 200, 1000)
		  . ($kind eq 'spill' ? "COMMIT;\n" : "ROLLBACK;\n");
	}
	elsif ($kind eq 'savepoint')
	{
		$count = 4;
		$sql = "BEGIN;\n"
		  . $one->("$id-1", $size)
		  . "SAVEPOINT s;\n"
		  . $one->("$id-2", $size)
		  . "SAVEPOINT u;\n"
		  . $one->("x$id-3", $size)
		  . "ROLLBACK TO u;\n"
		  . $one->("$id-3", $size)
		  . "RELEASE s;\n"
		  . $one->("$id-4", $size)
		  . "COMMIT;\n";
	}
	elsif ($kind eq 'prepared')
	{
		$count = 2;
		$sql = "BEGIN;\n"
		  . $one->("$id-1", $size)
		  . $one->("$id-2", $size)
		  . "PREPARE TRANSACTION '$id';\n\\echo $id\nCOMMIT PREPARED '$id';\n";
	}
	elsif ($kind eq 'checkpoint')
	{
		$count = 0;
		$sql = "CHECKPOINT;\n";
	}
	elsif ($kind eq 'vacuum')
	{
		$count = 0;
		$sql = "VACUUM $topic;\n";
	}
	else
	{
		die "unknown kind of transaction $kind";
	}
	if ($self->{witness} && $count > 0)
	{
		my $witness = "INSERT INTO witness VALUES ('$id');\n";

		$sql = "BEGIN;\n${sql}COMMIT;\n" unless $sql =~ /^BEGIN/;
		$sql =~ s/^BEGIN;\n/BEGIN;\n$witness/;
	}
	$self->{sent}{$id} = $count;
	$sql .= "\\o\nSELECT '$id', partition, first_offset, last_offset FROM topic.last_produced();\n\\o /dev/null\n"
	  if $self->{trimmed} && $count > 0;
	return $sql . "\\echo $id\n";
}

# Starts the producers; they run until their scripts or the server end.
sub start
{
	my ($self, $node) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $round = ++$self->{round};

	$self->{running} = [];
	for my $producer (1 .. $self->{producers})
	{
		my $base = sprintf '%s/r%d-p%d', $dir, $round, $producer;
		my @ids = map { sprintf 'r%dp%d-%d', $round, $producer, $_ } 1 .. $self->{transactions};

		open my $script, '>', "$base.sql" or die "$base.sql: $!";
		print $script "\\o /dev/null\nSET client_min_messages = error;\n";
		print $script $self->transaction($_, $self->{urn}[ rand @{ $self->{urn} } ]) for @ids;
		close $script or die "$base.sql: $!";
		push @{ $self->{running} }, { base => $base, ids => \@ids };
	}
	for my $run (@{ $self->{running} })
	{
		# the test's own answer to SIGTERM, to stop its servers, is not the child's
		local $SIG{TERM} = 'DEFAULT';
		my $pid = fork // die "fork: $!";

		if ($pid == 0)
		{
			open STDOUT, '>', "$run->{base}.out" or die;
			open STDERR, '>', "$run->{base}.err" or die;
			exec 'stdbuf', '-oL', 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-f', "$run->{base}.sql",
			  '-d', $node->connstr('postgres') . ' application_name=producer'
			  or die "exec: $!";
		}
		$run->{pid} = $pid;
	}
	return;
}

# Until this many transactions of the running producers are acknowledged.
sub wait_for_acks
{
	my ($self, $count) = @_;
	my $until = Time::HiRes::time() + $PostgreSQL::Test::Utils::timeout_default;
	my $sent;

	do
	{
		die "$count acknowledgements did not come" if Time::HiRes::time() > $until;
		Time::HiRes::sleep(0.02);
		$sent = 0;
		$sent += (-s "$_->{base}.out" // 0) for @{ $self->{running} };
	} while ($sent < $count * 8);
	return;
}

# What all producers that have ended were promised.
sub acked
{
	my ($self) = @_;

	my @acked = grep { $self->{sent}{$_} } keys %{ $self->{acked} };

	return @acked;
}

# What the running producers have been promised until now.
sub acked_now
{
	my ($self) = @_;

	my @acked = grep { $self->{sent}{$_} }
	  map { split /\n/, PostgreSQL::Test::Utils::slurp_file("$_->{base}.out") } @{ $self->{running} };

	return @acked;
}

# Ends the producers, and waits for the last transactions of their backends.
sub stop
{
	my ($self, $node) = @_;

	kill 'TERM', map { $_->{pid} } @{ $self->{running} };
	$self->finish;
	$node->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'producer'")
	  or die 'producers do not end';
	return;
}

# Waits for the producers and notes what the server has acknowledged.
sub finish
{
	my ($self) = @_;

	for my $run (@{ $self->{running} })
	{
		my %acked;

		waitpid $run->{pid}, 0;
		for my $line (split /\n/, PostgreSQL::Test::Utils::slurp_file("$run->{base}.out"))
		{
			my ($id, @range) = split /\|/, $line;

			if (@range == 3)
			{
				push @{ $self->{ranges}{$id} }, \@range;
			}
			else
			{
				$acked{$line} = 1;
			}
		}
		for my $id (@{ $run->{ids} })
		{
			if ($acked{$id})
			{
				$self->{acked}{$id} = 1;
			}
			else
			{
				# it was under way, those behind it had not begun
				$self->{maybe}{$id} = 1;
				last;
			}
		}
		push @{ $self->{errors} },
		  grep { /ERROR: / } split /\n/, PostgreSQL::Test::Utils::slurp_file("$run->{base}.err");
		unlink map { "$run->{base}.$_" } qw(sql out err);
	}
	delete $self->{running};
	return;
}

# The messages of a transaction, and of no other, are all there or not at all:
# there if acknowledged, absent if never sent.  In a partition the messages of a
# producer keep their order.
sub check
{
	my ($self, $node, $name, %arg) = @_;
	my (%seen, @lost, @torn, @invented);
	my $facts;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(join("\n", @{ $self->{errors} }), '', "$name: no producer had an error");

	$facts = $node->safe_psql('postgres', qq{
CREATE TEMP TABLE seen AS
	SELECT partition, log_offset, split_part(v, ' ', 1) AS id, is_payload(v) AS good,
		regexp_match(left(v, 60), '^r(\\d+)p(\\d+)-(\\d+)-(\\d+) ')::int[] AS part
	FROM $self->{topic}, convert_from(value, 'UTF8') AS v;
SELECT 'repeated', count(*) - count(DISTINCT id) FROM seen
UNION ALL SELECT 'damaged', count(*) FROM seen WHERE NOT good
UNION ALL SELECT 'rolled back', count(*) FROM seen WHERE id LIKE 'x%'
UNION ALL SELECT 'out of order', count(*) FROM
	(SELECT part, lag(part) OVER (PARTITION BY partition, part[2] ORDER BY log_offset) AS previous
	 FROM seen) s WHERE previous > part;
SELECT regexp_replace(id, '-\\d+\$', ''), count(*) FROM seen GROUP BY 1});
	for my $line (split /\n/, $facts)
	{
		my ($id, $count) = split /\|/, $line;
		$seen{$id} = $count;
	}
	for my $wrong ('repeated', 'damaged', 'rolled back', 'out of order')
	{
		is(delete $seen{$wrong}, 0, "$name: no message is $wrong");
	}
	@lost = grep { $self->{sent}{$_} && !$seen{$_} } sort keys %{ $self->{acked} };
	@torn = grep { $seen{$_} != ($self->{sent}{$_} // 0) } sort keys %seen;
	@invented = grep { !$self->{acked}{$_} && !$self->{maybe}{$_} } sort keys %seen;
	is("@lost[0 .. ($#lost < 9 ? $#lost : 9)]", '', "$name: every acknowledged transaction is there")
	  unless $arg{may_lose};
	is("@torn[0 .. ($#torn < 9 ? $#torn : 9)]", '', "$name: every transaction is whole");
	is("@invented[0 .. ($#invented < 9 ? $#invented : 9)]", '', "$name: nothing is there that was not sent");
	TopicTest::verify_silent($node, $self->{topic}, "$name: topic.verify() is silent");

	# what is there now has to stay, and what is not must not come
	$self->{acked}{$_} = 1 for grep { $self->{maybe}{$_} } keys %seen;
	$self->{maybe} = {};
	note sprintf '%s: %d transactions acknowledged, %d there', $name,
	  scalar($self->acked), scalar(keys %seen);
	return;
}

# The same where records are deleted: of an acknowledged transaction, what lies at or
# behind the log start is there.
sub check_trimmed
{
	my ($self, $node, $name) = @_;
	my (%start, %seen, @wrong);
	my $whole = 0;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(join("\n", @{ $self->{errors} }), '', "$name: no producer had an error");
	%start = map { split /\|/ } split /\n/,
	  $node->safe_psql('postgres', "SELECT partition, log_start_offset FROM topic.list_offsets('$self->{topic}')");
	is($node->safe_psql('postgres', TopicTest::whole_messages($self->{topic})), 0, "$name: whole messages are left, in order");
	%seen = map { split /\|/ } split /\n/, $node->safe_psql('postgres', qq{
SELECT regexp_replace(split_part(left(convert_from(value, 'UTF8'), 60), ' ', 1), '-\\d+\$', ''), count(*)
FROM $self->{topic} GROUP BY 1});
	for my $id (keys %{ $self->{acked} })
	{
		my $ranges = $self->{ranges}{$id} // next;
		my $trimmed = grep { $_->[1] < $start{ $_->[0] } } @$ranges;
		my $there = $seen{$id} // 0;
		my $least = $trimmed ? 0 : $self->{sent}{$id};

		# where no others come in between, offsets tell exactly
		if (@$ranges == 1 && $ranges->[0][2] - $ranges->[0][1] + 1 == $self->{sent}{$id})
		{
			my $first = $ranges->[0][1] > $start{ $ranges->[0][0] } ? $ranges->[0][1] : $start{ $ranges->[0][0] };

			$least = $ranges->[0][2] < $first ? 0 : $ranges->[0][2] - $first + 1;
			push @wrong, "$id: $there, not $least" if $there != $least;
		}
		push @wrong, "$id: $there of $least" if $there < $least || $there > $self->{sent}{$id};
		$whole++ if $there == $self->{sent}{$id};
	}
	push @wrong, map { "$_ was not sent" } grep { !defined $self->{sent}{$_} } keys %seen;
	is("@wrong[0 .. ($#wrong < 9 ? $#wrong : 9)]", '', "$name: what was acknowledged is there from the log start on");
	TopicTest::verify_silent($node, $self->{topic}, "$name: topic.verify() is silent");
	note sprintf '%s: %d transactions acknowledged, %d of them there as a whole', $name, scalar($self->acked), $whole;
	return;
}

# Heap and topic have come to the same point of time; @must are transactions that
# it has to contain.
sub check_witness
{
	my ($self, $node, $name, @must) = @_;
	my (%heap, %topic);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	%heap = map { $_ => 1 } split /\n/, $node->safe_psql('postgres', 'SELECT id FROM witness');
	%topic = map { split /\|/ } split /\n/, $node->safe_psql('postgres', qq{
SELECT regexp_replace(id, '-\\d+\$', ''), count(DISTINCT id) + CASE WHEN count(*) > count(DISTINCT id) THEN 1000000 ELSE 0 END
FROM (SELECT split_part(v, ' ', 1) AS id FROM $self->{topic}, convert_from(value, 'UTF8') v
	WHERE left(v, 60) ~ '^x?r\\d+p') s GROUP BY 1});
	is(join(' ', grep { !$topic{$_} } sort keys %heap), '', "$name: the topic has what the heap has");
	is(join(' ', grep { !$heap{$_} } sort keys %topic), '', "$name: and nothing else");
	is(join(' ', grep { $topic{$_} != $self->{sent}{$_} } sort keys %topic), '', "$name: each transaction whole and once");
	is(join(' ', grep { !$heap{$_} } @must), '', "$name: what was acknowledged before is there");
	is($node->safe_psql('postgres', "SELECT count(*) FROM $self->{topic}, convert_from(value, 'UTF8') v WHERE left(v, 60) ~ '^x?r\\d+p' AND NOT is_payload(v)"),
		0, "$name: no message is damaged");
	TopicTest::verify_silent($node, $self->{topic}, "$name: topic.verify() is silent");
	note sprintf '%s: %d transactions there, %d of them known before', $name, scalar(keys %topic), scalar(@must);
	return;
}

1;
