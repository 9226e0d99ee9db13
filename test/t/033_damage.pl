# Damaged bits in batches: topic.verify() names every one of them, a compressed
# batch is never returned, and no server falls over it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TopicTest;

seed();

my @codecs = ('none', 'lz4', 'zstd');
my $each = 12;

# from format.h
my $page_size = 8192;
my $page_start = 24;
my $envelope_max = 66;
my $data_page_id = 0x7C04;

# without checksums of pages, which are PostgreSQL's: ours have to tell
my $node = new_node('damage', init => [ no_data_checksums => 1 ], conf => "autovacuum = off\n");
$node->start;
setup_load_database($node, '');
for my $codec (@codecs)
{
	$node->safe_psql('postgres', qq{
SELECT topic.create('${codec}_' || i, compression => '$codec') FROM generate_series(0, $each) i;
SELECT topic.produce_batch('${codec}_' || t, array_agg('{"id": "' || md5(t || '-' || i) || '", "n": ' || i || ', "kind": "' || repeat('x', i % 50) || '"}' ORDER BY i))
FROM generate_series(0, $each) t, generate_series(1, 300) i GROUP BY t});
}
$node->safe_psql('postgres', q{
-- what comes of reading in one way; not an error, so that the log stays clean
CREATE FUNCTION attempt(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE query INTO result;
	RETURN result;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
CHECKPOINT});

my %file = map { split /\|/ } split /\n/, $node->safe_psql('postgres',
	q{SELECT relname, pg_relation_filepath(oid) FROM pg_class WHERE relam = (SELECT oid FROM pg_am WHERE amname = 'topic')});
$node->stop;

# One bit, somewhere in the records.
sub damage
{
	my ($path) = @_;
	my (@places, $page);

	open my $file, '+<:raw', $path or die "$path: $!";
	for (my $block = 0; read($file, $page, $page_size) == $page_size; $block++)
	{
		my $lower = unpack 'v', substr($page, 12, 2);
		my $from = $page_start;

		next if unpack('v', substr($page, -2)) != $data_page_id;
		# one batch: its envelope is on the first page
		$from += $envelope_max if !@places;
		push @places, map { $block * $page_size + $_ } $from .. $lower - 1;
	}
	my $place = $places[ rand @places ];

	seek $file, $place, 0;
	read $file, my $byte, 1;
	seek $file, $place, 0;
	print $file chr(ord($byte) ^ 1 << rand 8);
	close $file or die $!;
	return;
}

for my $codec (@codecs)
{
	damage($node->data_dir . '/' . $file{"${codec}_$_"}) for 1 .. $each;
}
$node->start;

for my $codec (@codecs)
{
	my @topics = map { "${codec}_$_" } 1 .. $each;
	my $findings = $node->safe_psql('postgres', join ';', map { "SELECT count(*) > 0 FROM topic.verify('$_')" } @topics);
	my @reads = map { ("SELECT count(*) FROM $_", "SELECT count(*) FROM topic.fetch('$_', 0, 150, 10)", "SELECT max(length(value)) FROM $_ WHERE log_offset = 299") } @topics;
	my $results = $node->safe_psql('postgres', join ';', map { "SELECT attempt(\$\$$_\$\$)" } @reads);

	is($findings, join("\n", ('t') x $each), "$codec: topic.verify() finds each damaged bit");
	if ($codec eq 'none')
	{
		like($results, qr/^(?:\d+|XX001|\n)*$/, "$codec: a damaged record is an error, or is not noticed");
	}
	else
	{
		is($results, join("\n", ('XX001') x @reads), "$codec: a damaged batch is data_corrupted, however it is read");
	}
	verify_silent($node, "${codec}_0", "$codec: and others are sound");
}

# what is behind a damaged batch can be read
for my $codec (@codecs)
{
	$node->safe_psql('postgres', "SELECT topic.produce('${codec}_1', 'behind')");
	is($node->safe_psql('postgres', "SELECT log_offset, convert_from(value, 'UTF8') FROM topic.fetch('${codec}_1', 0, 300)"),
		'300|behind', "$codec: reading goes on behind it");
}

$node->stop;
log_is_clean($node);
done_testing();
