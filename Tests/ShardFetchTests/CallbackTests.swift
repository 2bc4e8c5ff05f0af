internal import Foundation
internal import Synchronization
internal import Testing

@testable internal import ShardFetch

/// Who is called back, and at what price.
@Suite struct CallbackTests {
    /// A thousand calls later, no more frames are on the stack than at the first call.
    @Test func callsStayShallow() {
        let callback = Callback<Int, Void>()
        let depths = Mutex<[Int]>([])
        callback.set { _ in
            let depth = Thread.callStackReturnAddresses.count
            depths.withLock { $0.append(depth) }
        }
        for number in 0..<1000 { callback(number) }
        #expect(Set(depths.withLock { Array($0) }).count == 1)
    }

    @Test func nobodyIsCalledWhereNobodyIsNamed() {
        let callback = Callback<Int, String>()
        #expect(!callback.isSet)
        #expect(callback(1) == nil)
        callback.set { "\($0)" }
        #expect(callback(2) == "2")
        callback.set(nil)
        #expect(callback(3) == nil)
    }
}
