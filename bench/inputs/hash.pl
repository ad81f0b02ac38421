# Hashes, lists, sorting and string building. `perl hash.pl FILE`
open my $file, '<', $ARGV[0] or die "$ARGV[0]: $!";
my (%count, %length);
while (my $line = <$file>) {
  for my $word (split ' ', $line) {
    $count{$word}++;
    push @{$length{length $word}}, $word if $count{$word} == 1;
  }
}
my @ranking = sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
my $total = 0;
$total += $_ for values %count;
my $text = join ',', map { scalar(@{$length{$_}}) . "x$_" } sort { $a <=> $b } keys %length;
print scalar(@ranking), "/$total/$ranking[0]/$text\n";
