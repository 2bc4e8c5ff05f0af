internal import PetalsCore
internal import Synchronization

/// Adds up work that several threads do and reports it.
final class ProgressMeter: Sendable {
    private let total: Int
    private let done = Atomic<Int>(0)
    private let report: Publisher.Progress

    init(total: Int, report: @escaping Publisher.Progress) {
        self.total = total
        self.report = report
    }

    func add(_ bytes: Int) {
        report(min(done.wrappingAdd(bytes, ordering: .relaxed).newValue, total), total)
    }

    /// Adds bytes of a file's stored stream as the plaintext that they stand for.
    func add(stored bytes: Int, of record: FileRecord) {
        let share = Double(record.size) / Double(max(record.frames.storedLength, 1))
        add(Int(Double(bytes) * share))
    }

    func finish() { report(total, total) }
}
