//
// The JSON documents of the contract, as a script that relies on them reads them: written by hand
// from the contract and not shared with the program.
//

/// What `publish --json` prints.
struct PublishReport: Decodable {
    struct File: Decodable, Equatable {
        let path: String
        let size: Int
        let stored: Int
        let sha256: String
        let blob: String?
    }

    let name: String
    let link: String
    let relay: String
    let manifest: String
    let size: Int
    let stored: Int
    let resumed: Int
    let files: [File]
}

/// What `hold --json` prints.
struct HoldReport: Decodable {
    let name: String
    let manifest: String
    let blobs: Int
    let shards: Int
    let bytes: Int
}

/// A model of `ls --json`, and what `add --json` prints.
struct ModelReport: Decodable {
    let name: String
    let origin: String
    let manifest: String
    let pending: Bool
    let pinned: Bool
    let size: Int
    let stored: Int
    let cached: Int
    let files: Int
    let format: String
    let license: String
    let check: String?
}

/// What `info --json` prints.
struct InfoReport: Decodable {
    let summary: ModelReport
    let link: String?
    let relay: String
    let publisher: String?
    let files: [PublishReport.File]
}

/// What `pin --json` and `unpin --json` print.
struct KeptReport: Decodable {
    let name: String
    let pinned: Bool
    let shards: Int
    let bytes: Int
}

/// What `evict --json` prints.
struct EvictedReport: Decodable {
    let name: String
    let cells: Int
    let bytes: Int
}

/// What `verify --json` prints.
struct VerifyReport: Decodable {
    let cells: Int
    let bytes: Int
    let damaged: [String]
    let changedFiles: [String]
    let wrongModels: [String]
    let clean: Bool
}

/// What `status --json` prints.
struct StatusReport: Decodable {
    struct Node: Decodable {
        struct Peer: Decodable {
            let id: String
            let address: String
            let origin: String?
        }

        struct Source: Decodable {
            let origin: String
            let known: Int
            let dialled: Int
            let connected: Int
        }

        struct Upload: Decodable {
            let limit: Int?
            let bytes: Int
        }

        struct DHT: Decodable {
            let listen: [String]
            let nodes: Int
        }

        let peerID: String
        let listen: String?
        let peers: [Peer]
        let sources: [Source]
        let dht: DHT?
        let fetchedBytes: Int
        let hedgedBytes: Int
        let servedBytes: Int
        let upload: Upload
        let damagedLeaves: Int
        let rebuiltCells: Int
        let wantedCells: Int
    }

    struct Waiting: Decodable {
        let name: String
        let reads: Int
    }

    let state: String
    let mount: String?
    let node: Node?
    let waiting: [Waiting]
    let store: [String: Int]
    let cacheSize: Int?
    let cacheFree: Int
    let diskFree: Int?
    let models: Int
}

/// A line of `catalog ls --json`.
struct CatalogueReport: Decodable {
    let title: String
    let link: String
    let own: Bool
    let followed: Bool
    let models: Int
    let sequence: Int
    let peers: Int
    let evidence: Int
    let refused: String?
}

/// What `catalog show --json` prints.
struct CatalogueShowReport: Decodable {
    struct Entry: Decodable {
        let name: String
        let shownAs: String?
        let manifest: String
        let readable: Bool
        let size: Int
        let sha256: String?
        let link: String
    }

    let summary: CatalogueReport
    let issue: Int
    let signer: String?
    let delegated: Bool
    let entries: [Entry]
}
