//! SIP for Strowger: messages, transactions, dialogs, digest, SDP; net/ is its only place with sockets
