package shapes

func OfATest() {}
