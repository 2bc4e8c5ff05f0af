import PetalsCore
import Testing

@testable import PetalsStore

/// Goal: a lock lets one thread in at a time, and lets go however its body ends.
@Suite struct UnfairLockTests {
    @Test func countsOfManyThreadsAddUp() async {
        let lock = UnfairLock(0)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<10_000 {
                        // Read and write apart, so that two threads inside would lose counts.
                        lock.withLock { value in
                            let before = value
                            value = before + 1
                        }
                    }
                }
            }
        }
        #expect(lock.withLock { $0 } == 80_000)
    }

    @Test func aBodyThatThrowsLetsGo() {
        let lock = UnfairLock([1])
        #expect(throws: PetalsError.self) {
            try lock.withLock { value throws(PetalsError) in
                value.append(2)
                throw PetalsError(.cancelled, "the test throws")
            }
        }
        #expect(lock.withLock { $0 } == [1, 2])
    }
}
