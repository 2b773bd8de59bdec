# neighbours.pl MODE INDEX MAC ADDRESS [COUNT SECONDS]: speak ARP (IPv4) or neighbour discovery (IPv6) on one interface,
# with nothing but Debian's perl-base. INDEX and MAC are the interface's.
#   probe     ask COUNT times within SECONDS who has the address; prints the MAC of whoever answers, nothing otherwise
#   announce  tell everybody that the address is here now
# Formats: RFC 826 and 5227 (ARP), RFC 4861 and 4862 (a probe comes from no address, its answer goes to everybody).
use strict;
use warnings;
use Socket qw(inet_pton AF_INET AF_INET6);

my ($mode, $index, $mac, $text, $count, $seconds) = @ARGV;
my $six = $text =~ /:/;
my $address = inet_pton($six ? AF_INET6 : AF_INET, $text) or die "$text is no address\n";
my $own = join '', map { chr hex } split /:/, $mac;
my $protocol = $six ? 0x86dd : 0x0806;

sub ethernet { my ($to, $payload) = @_; return $to . $own . pack('n', $protocol) . $payload }

sub arp {
    my ($operation, $sender, $target) = @_;
    my $head = pack 'nnCCn', 1, 0x0800, 6, 4, $operation;
    return ethernet("\xff" x 6, $head . $own . $sender . "\0" x 6 . $target);
}

sub icmp6 {
    my ($from, $to, $ethernet_to, $message) = @_;
    my $sum = 0;
    $sum += $_ for unpack 'n*', $from . $to . pack('NN', length $message, 58) . $message;
    $sum = ($sum & 0xffff) + ($sum >> 16) while $sum >> 16;
    substr $message, 2, 2, pack 'n', ~$sum & 0xffff;
    return ethernet($ethernet_to, pack('NnCC', 0x60000000, length $message, 58, 255) . $from . $to . $message);
}

sub solicitation {
    my $last = substr $address, 13;
    my $to = inet_pton(AF_INET6, 'ff02::1:ff00:0');
    substr $to, 13, 3, $last;
    return icmp6("\0" x 16, $to, "\x33\x33\xff$last", pack('CCnN', 135, 0, 0, 0) . $address);
}

sub advertisement {
    my $message = pack('CCnN', 136, 0, 0, 0x20000000) . $address . pack('CC', 2, 1) . $own;
    return icmp6($address, inet_pton(AF_INET6, 'ff02::1'), "\x33\x33\0\0\0\1", $message);
}

# Who speaks for the address in this frame; undef when nobody does.
sub speaker {
    my ($frame) = @_;
    my ($type, $body) = (unpack('n', substr $frame, 12, 2), substr $frame, 14);
    return if $type != $protocol;
    if (!$six) {
        return if length $body < 28 || substr($body, 14, 4) ne $address;
        return substr $body, 8, 6;
    }
    return if length $body < 64 || ord(substr $body, 6, 1) != 58 || ord(substr $body, 40, 1) != 136;
    return if substr($body, 48, 16) ne $address;
    return substr $frame, 6, 6;
}

# 17 is AF_PACKET, 3 is ETH_P_ALL in network order; a socket bound to one interface hears that one only.
socket my $socket, 17, 3, unpack('S', pack 'n', 3) or die "no raw socket: $!\n";
bind $socket, pack('SnlSCCa8', 17, 3, $index, 0, 0, 0, '') or die "the interface cannot be listened to: $!\n";

if ($mode eq 'announce') {
    # Some hosts and switches learn from a request, some only from an answer.
    my @frames = $six ? advertisement() : (arp(1, $address, $address), arp(2, $address, $address));
    syswrite $socket, $_ or die "it cannot be announced: $!\n" for @frames;
    exit 0;
}

for (1 .. $count) {
    syswrite $socket, $six ? solicitation() : arp(1, "\0" x 4, $address) or die "nobody can be asked: $!\n";
    my $left = $seconds / $count;
    while ($left > 0) {
        my $ready = '';
        vec($ready, fileno $socket, 1) = 1;
        # Linux tells how much of the time is left.
        (my $found, $left) = select $ready, undef, undef, $left;
        last if $found <= 0;
        sysread $socket, my $frame, 2048 or next;
        my $who = speaker($frame);
        next if !defined $who || $who eq $own;
        print join(':', map { sprintf '%02x', ord } split //, $who), "\n";
        exit 0;
    }
}
