/// Python programs that read a mount as programs do.
///
/// Each takes the mounted file and the original, compares what it sees with what it should see, and
/// prints “same”. A short read counts as a difference.
enum Reader: String, CaseIterable, Sendable {
    /// read(2) with lengths that are multiples of nothing.
    case sequential
    /// One private mapping of the whole file.
    case mapped
    /// O_DIRECT: past the page cache, in blocks.
    case direct
    /// Sixteen threads at random offsets.
    case threads

    var program: String {
        """
        import mmap, os, random, sys, threading
        path, original = sys.argv[1], sys.argv[2]
        want = open(original, 'rb').read()

        """ + body + "\nprint('same')\n"
    }

    private var body: String {
        switch self {
        case .sequential:
            """
            fd, at = os.open(path, os.O_RDONLY), 0
            while at < len(want):
                piece = os.read(fd, 65537)
                assert piece == want[at:at + 65537], at
                at += len(piece)
            assert os.read(fd, 1) == b''
            """
        case .mapped:
            """
            fd = os.open(path, os.O_RDONLY)
            assert mmap.mmap(fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ)[:] == want
            """
        case .direct:
            """
            fd, at = os.open(path, os.O_RDONLY | os.O_DIRECT), 0
            buffer = mmap.mmap(-1, 1 << 20)
            while at < len(want):
                count = os.preadv(fd, [buffer], at)
                assert count == min(1 << 20, len(want) - at), (at, count)
                assert buffer[:count] == want[at:at + count], at
                at += count
            """
        case .threads:
            """
            fd, wrong = os.open(path, os.O_RDONLY), []
            def work(seed):
                dice = random.Random(seed)
                for _ in range(40):
                    at, count = dice.randrange(len(want)), dice.randrange(1, 300000)
                    if os.pread(fd, count, at) != want[at:at + count]: wrong.append((seed, at))
            threads = [threading.Thread(target=work, args=(i,)) for i in range(16)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            assert not wrong, wrong
            """
        }
    }
}
