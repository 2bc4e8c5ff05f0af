internal import PetalsCore
internal import PetalsStore
internal import ShardFetch

extension NodeService {
    /// Has the running node send at another limit.
    func limitUploads(rate: String, times: String?) throws(PetalsError) -> ControlResult {
        let schedule = try UploadSchedule(limit: rate, times: times)
        guard let node else {
            throw Self.noNode(on: folder.path)
        }
        node.setUploads(schedule)
        return .done
    }

    static func noNode(on path: String) -> PetalsError {
        PetalsError(
            .unavailable,
            "no node runs on \(path); give --upload-limit to `petalsfs serve` or `petalsfs mount`")
    }
}
