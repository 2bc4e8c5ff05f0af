extension Range<Int> {
    /// The range in order, in parts of `count` of which the last can be shorter.
    ///
    /// - Parameter count: one at least; less counts as one.
    package func parts(of count: Int) -> LazyMapSequence<StrideTo<Int>, Range<Int>> {
        let (step, end) = (Swift.max(1, count), upperBound)
        return stride(from: lowerBound, to: end, by: step).lazy.map { start in
            start..<(end - start < step ? end : start + step)
        }
    }
}
