#!/usr/bin/perl
# The man page's source, from what "pgtopic SUBCOMMAND --help" prints.
#
#   help2pod.pl ./pgtopic | pod2man --section=1 --name=PGTOPIC ...

use strict;
use warnings;

my ($program) = @ARGV or die "usage: help2pod.pl PROGRAM\n";

sub help
{
	my @command = ($program, @_, '--help');

	open(my $pipe, '-|', @command) or die "@command: $!\n";
	my @lines = <$pipe>;
	close($pipe) or die "@command failed\n";
	chomp @lines;
	return @lines;
}

# What has a meaning in POD is written so that it has none.
sub escape
{
	my ($text) = @_;

	$text =~ s/([<>])/$1 eq '<' ? 'E<lt>' : 'E<gt>'/ge;
	return $text;
}

sub print_body
{
	my ($heading, @lines) = @_;
	my $verbatim = 0;

	for my $line (@lines)
	{
		if ($line =~ /^ /)
		{
			print "\n" unless $verbatim;
			$verbatim = 1;
			print "$line\n";
			next;
		}
		print "\n" if $verbatim;
		$verbatim = 0;
		if ($line =~ /^(\S.*):$/)
		{
			my $name = $1 eq 'Usage' ? 'Synopsis' : $1;

			print "\n=$heading ", escape($heading eq 'head1' ? uc($name) : $name), "\n";
		}
		else
		{
			print escape($line), "\n";
		}
	}
	print "\n";
	return;
}

my ($title, @program_help) = help();
my ($what) = $title =~ /: (.*)/;

# the list of subcommands ends at the empty line behind it
my ($begin) = grep { $program_help[$_] eq 'Subcommands:' } 0 .. $#program_help;
my @listed;

for my $line (@program_help[ $begin + 1 .. $#program_help ])
{
	last if $line eq '';
	push @listed, (split ' ', $line)[0];
}

print "=encoding utf8\n\n=head1 NAME\n\npgtopic - ", escape($what), "\n";
print_body('head1', @program_help);
for my $subcommand (@listed)
{
	my ($first, @body) = help($subcommand);

	print "\n=head1 ", uc($subcommand), "\n\n", escape($first =~ /: (.*)/), "\n\n";
	print_body('head2', @body);
}
