// The seed's C side.

void callGoWithVariousStack(int p);
