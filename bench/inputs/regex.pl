# Regular expressions over a text. `perl regex.pl FILE`
open my $file, '<', $ARGV[0] or die "$ARGV[0]: $!";
my ($pairs, $long, $swapped, $digits) = (0, 0, 0, 0);
while (my $line = <$file>) {
  $pairs++ while $line =~ /\b(\w)\w*\1\b/g;
  $long++ if $line =~ /^(?:\S+\s+){3,6}[^aeiou\s]\S{4,}/;
  $swapped += ($line =~ s/(\w+) (\w+)/$2 $1/g);
  $digits += length join '', $line =~ /\d+/g;
}
print "$pairs/$long/$swapped/$digits\n";
