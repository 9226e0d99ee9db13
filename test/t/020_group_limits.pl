# The shared memory for groups: what has to fit, does; beyond it comes an error
# that says what to do, and nothing that was there is harmed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TopicTest;

my $node = new_node('limits');
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION pgtopic;
SELECT topic.create('t', partitions => 100);
SELECT topic.produce('t', 'x', partition => 7);
});
my $fill = sub { "DO \$\$ BEGIN FOR i IN $_[0]..$_[1] LOOP PERFORM topic.subscribe('g' || i, ARRAY['t']); END LOOP; END \$\$;" };

# ---- 1,000 groups with a member and 100 partitions each, in the default memory

is($node->safe_psql('postgres', $fill->(1, 1000) . q{
SELECT count(*), sum(members), count(*) FILTER (WHERE state <> 'Stable') FROM topic.groups;
SELECT count(*), count(DISTINCT member_id) FROM topic.lag;
SELECT count(*) FROM topic.consume('g500');
}), "1000|1000|0\n100000|1000\n1", '1,000 groups, 1,000 members, 100,000 partitions of groups');

# ---- beyond

$node->append_conf('postgresql.conf', "pgtopic.group_memory = '1MB'");
$node->restart;
my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query("SELECT topic.subscribe('first', ARRAY['t'])");
my ($out, $err);
$node->psql('postgres', "\\set VERBOSITY verbose\n" . $fill->(1, 1000), stdout => \$out, stderr => \$err);
like($err, qr/ERROR:  53200: out of shared memory for consumer groups/, 'memory is full: an error');
like($err, qr/HINT: .*pgtopic\.group_memory/, 'that says what to raise');
is($session->query("SELECT count(*) FROM topic.consume('first')"), '1', 'a member that was there goes on');
is($session->query("SELECT log_offset FROM topic.commit('first')"), '1', 'and commits');

# Whatever needs memory says so, and is possible again when others have left.
$node->safe_psql('postgres', q{
SELECT topic.create('small');
SELECT topic.produce('small', 'x');
SELECT topic.create_group('operated');
-- memory of members that have left comes back when the coordinator has removed them
CREATE FUNCTION try(statements text[], patience interval) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	statement text;
	outcome text;
BEGIN
	FOREACH statement IN ARRAY statements LOOP
		LOOP
			BEGIN
				EXECUTE statement;
				outcome := 'done';
			EXCEPTION WHEN OTHERS THEN
				outcome := SQLSTATE;
			END;
			EXIT WHEN outcome <> '53200' OR clock_timestamp() > transaction_timestamp() + patience;
			PERFORM pg_sleep(0.01);
		END LOOP;
		RETURN NEXT outcome;
	END LOOP;
END $$;
CREATE PROCEDURE fill(topic text, kind text) LANGUAGE plpgsql AS $$ BEGIN
	FOR i IN 1 .. 10000 LOOP
		BEGIN
			IF kind = 'commit' THEN
				PERFORM topic.commit(kind || i, topic, 0, 0);
			ELSE
				PERFORM topic.subscribe(kind || i, ARRAY[topic]);
			END IF;
		EXCEPTION WHEN out_of_memory THEN
			EXIT;
		END;
	END LOOP;
END $$;
});
my $try = sub { qq{SELECT string_agg(t, ' ') FROM try(ARRAY[
	\$\$SELECT topic.subscribe('new', ARRAY['small'])\$\$,
	\$\$SELECT topic.subscribe('more', pattern => '^')\$\$,
	\$\$SELECT topic.take('taken', ARRAY['small'])\$\$,
	\$\$SELECT topic.commit('stored', 'small', 0, 1)\$\$,
	\$\$SELECT topic.reset_offsets('operated', 'small', 'latest')\$\$,
	\$\$SELECT topic.delete_group('operated')\$\$], '$_[0]') t} };
is($node->safe_psql('postgres', qq{
SELECT topic.subscribe('more', ARRAY['small']) IS NOT NULL;
CALL fill('t', 'wide');
CALL fill('small', 'narrow');
BEGIN;
CALL fill('small', 'commit');
@{[ $try->('0') ]};
COMMIT;
SELECT count(*) FROM topic.consume('more');
SELECT log_offset FROM topic.commit('more');
SELECT topic.alter('small', partitions => 1000);
DISCARD ALL;
@{[ $try->('20 s') ]};
}), "t\n53200 53200 53200 53200 53200 53200\n1\n1\n\ndone done done done done done",
	'out of memory wherever it is needed, and nowhere else');

# What that session had joined it has left; many times over, nothing leaks.
for my $round (1 .. 5)
{
	$node->psql('postgres', $fill->(1, 1000), stderr => \$err);
	like($err, qr/out of shared memory/, "full again, round $round");
	ok($node->poll_query_until('postgres', "SELECT sum(members) = 1 FROM topic.groups"),
		'and free again when the session has gone');
}
is($node->safe_psql('postgres', "SELECT topic.subscribe('g5', ARRAY['t']) IS NOT NULL"), 't', 'others may join again');

$session->quit;
log_is_clean($node);
done_testing;
